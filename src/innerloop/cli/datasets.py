"""The demo's two data sets, which come with scikit-learn, split and scaled."""

from typing import Any

import numpy as np

from innerloop.cli.losses import LossSpec
from innerloop.cli.partition import partition, partitioned
from innerloop.cli.tables import Table
from innerloop.report import Split

DIABETES_TEST, DIGITS_TEST = 89 / 442, 797 / 1797
PIXEL_SCALE = 8.0
DIABETES_TARGET = "disease progression"
DIABETES_NAMES = {
    "bmi": "body mass index, kg/m²",
    "bp": "mean blood pressure, mmHg",
    "s5": "log of serum triglycerides",
}


def diabetes(seed: int) -> Split:
    """442 patients, ten measurements, and how far their diabetes went within a year."""
    from sklearn.datasets import load_diabetes

    data: Any = load_diabetes(scaled=False)
    features = tuple(DIABETES_NAMES.get(name, name) for name in map(str, data.feature_names))
    columns = dict(zip(features, data.data.T, strict=True)) | {DIABETES_TARGET: data.target}
    table = Table(features, (DIABETES_TARGET,), columns)
    return partitioned(table, LossSpec("squared"), test_size=DIABETES_TEST, seed=seed)[0]


def digits(seed: int) -> Split:
    """1,797 handwritten digits of 8 x 8 pixels from 0 to 16; one-hot targets as they are."""
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    test, train = partition(len(data.data), test_size=DIGITS_TEST, seed=seed)
    mean = data.data[train].mean(0)
    x, y = (data.data - mean) / PIXEL_SCALE, np.eye(10)[data.target]
    return Split(
        x_train=x[train],
        y_train=y[train],
        x_test=x[test],
        y_test=y[test],
        x_shift=mean,
        x_scale=np.full(64, PIXEL_SCALE),
        y_shift=np.zeros(10),
        y_scale=np.ones(10),
        features=tuple(data.feature_names),
        targets=tuple(map(str, range(10))),
        classification=True,
    )
