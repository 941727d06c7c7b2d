"""Results of a real, small run: two targets, a network of two layers, three steps."""

import numpy as np
import pytest

import innerloop as il
from innerloop.cli.losses import parse_loss
from innerloop.cli.networks import network_learner
from innerloop.cli.optimizers import parse_optimizer
from innerloop.cli.specs import parse_model
from innerloop.report import Results, Runs, Split, Yardstick, covariate_cut, image_cut, study


@pytest.fixture(scope="session")
def split() -> Split:
    rng = np.random.default_rng(11)
    x = rng.normal(size=(24, 4))
    y = np.column_stack([np.abs(x[:, 2]) * 3.0 + x[:, 2], x[:, 0]])
    return Split(
        x_train=x[:17],
        y_train=y[:17],
        x_test=x[17:],
        y_test=y[17:],
        x_shift=np.array([1.0, 2.0, 3.0, 5.0]),
        x_scale=np.array([7.0, 11.0, 13.0, 17.0]),
        y_shift=np.array([19.0, 23.0]),
        y_scale=np.array([29.0, 31.0]),
        features=("a", "b", "c", "d"),
        targets=("first", "second"),
    )


@pytest.fixture(scope="session")
def images() -> Split:
    rng = np.random.default_rng(12)
    x, classes = rng.normal(size=(24, 6)), np.arange(24) % 3
    return Split(
        x_train=x[:17],
        y_train=np.eye(3)[classes[:17]],
        x_test=x[17:],
        y_test=np.eye(3)[classes[17:]],
        x_shift=np.zeros(6),
        x_scale=np.ones(6),
        y_shift=np.zeros(3),
        y_scale=np.ones(3),
        features=tuple("abcdef"),
        targets=("zero", "one", "two"),
        classification=True,
    )


def _study(name, split, cut):
    learner = network_learner(
        parse_model("mlp:5"),
        parse_optimizer("momentum:0.1,0.9"),
        parse_loss("squared"),
        d=split.x_train.shape[1],
        p=split.y_train.shape[1],
        seed=0,
    )
    prompt = split.prompt(cut.inputs)
    model = il.compile(learner, steps=3, like=prompt)
    direct = il.run(learner, prompt, steps=3)
    runs = Runs(model.iterates(prompt), direct, str(model.check(prompt)), {"compile": 0.25})
    yardsticks = (Yardstick("a <rule> & more", 0.5, 0.25),)
    return model, study(model, runs, split, cut, name=name, learner="net", yardsticks=yardsticks)


@pytest.fixture(scope="session")
def measured(split):
    """A compiled model and its study."""
    return _study("table", split, covariate_cut(split, points=9))


@pytest.fixture(scope="session")
def results(measured, images) -> Results:
    _, pictures = _study("<pictures>", images, image_cut(images, (2, 3), (2, 0), points=9))
    return Results(
        command="innerloop learn 'a & b.csv'",
        seed=3,
        seconds=1.5,
        versions={"python": "3.11.0"},
        messages=("Left out: <e>.",),
        studies=(measured[1], pictures),
    )
