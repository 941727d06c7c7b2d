"""A table split into a training and a test part, encoded as the training part says."""

import numpy as np

from innerloop.cli.encoding import covariates
from innerloop.cli.losses import LossSpec
from innerloop.cli.tables import Table
from innerloop.cli.targets import answers
from innerloop.report import Split

MINIMUM_PART = 2


def partitioned(
    table: Table, loss: LossSpec, *, test_size: float, seed: int
) -> tuple[Split, tuple[str, ...]]:
    """Splits the rows at random, and encodes covariates and targets.

    Args:
        table: The table.
        loss: The loss, which says what the targets are.
        test_size: The share of the rows kept for testing.
        seed: Draws the split.

    Returns:
        The split, with the rows' order as `partition` draws it, and remarks for the user.

    Raises:
        UserError: If a target or every covariate is constant in the training part, or a column of
            text has too many levels.
    """
    test, train = partition(table.rows, test_size=test_size, seed=seed)
    inputs, outputs = covariates(table, train), answers(table, train, loss)
    split = Split(
        x_train=inputs.x[train],
        y_train=outputs.y[train],
        x_test=inputs.x[test],
        y_test=outputs.y[test],
        x_shift=inputs.shift,
        x_scale=inputs.scale,
        y_shift=outputs.shift,
        y_scale=outputs.scale,
        features=inputs.names,
        targets=outputs.names,
        classification=loss.rule.targets == "classes",
        link=loss.rule.link,
    )
    return split, (*inputs.remarks, *outputs.remarks)


def partition(rows: int, *, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the test part and of the training part, two at least in each; both sorted.

    Example:
        >>> test, train = partition(10, test_size=0.2, seed=0)
        >>> len(test), len(train)
        (2, 8)
    """
    order = np.random.default_rng(seed).permutation(rows)
    m = min(max(round(test_size * rows), MINIMUM_PART), rows - MINIMUM_PART)
    return np.sort(order[:m]), np.sort(order[m:])
