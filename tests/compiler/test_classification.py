"""Adam on softmax cross-entropy, compiled, classifies real data as direct training does."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

import innerloop as il


def split(load, n, rng):
    """Standardised covariates, one-hot targets: `n` examples, the rest as queries with labels."""
    x, labels = load(return_X_y=True)
    shuffled = rng.permutation(len(x))
    x, labels = x[shuffled], labels[shuffled]
    scale = np.where(x[:n].std(0) > 0, x[:n].std(0), 1.0)
    x = np.clip((x - x[:n].mean(0)) / scale, -5.0, 5.0)
    y = np.eye(labels.max() + 1)[labels]
    return il.Prompt(x[:n], y[:n], x[n:]), labels[n:]


def classifier(d, classes, hidden, rate, rng):
    """A network of one hidden layer under Adam and softmax cross-entropy."""

    def apply(params, x):
        return params["top"] @ jax.nn.relu(params["in"] @ x + params["bias"]) + params["offset"]

    params = {
        "in": rng.normal(size=(hidden, d)) / np.sqrt(d),
        "bias": np.zeros(hidden),
        "top": rng.normal(size=(classes, hidden)) / np.sqrt(hidden),
        "offset": np.zeros(classes),
    }

    def loss(logits, y):
        return -jnp.sum(y * jax.nn.log_softmax(logits))

    return il.learner(apply, params, optimizer=optax.adam(rate), loss=loss)


@pytest.mark.filterwarnings("ignore::innerloop.RunWarning")
@pytest.mark.parametrize(
    ("load", "n", "hidden", "rate", "steps", "least"),
    [
        pytest.param(load_wine, 100, 7, 0.05, 20, 0.93, id="wine"),
        pytest.param(
            load_breast_cancer, 300, 7, 0.05, 15, 0.93, id="breast cancer", marks=pytest.mark.slow
        ),
        pytest.param(load_digits, 1000, 32, 0.01, 60, 0.93, id="digits", marks=pytest.mark.slow),
    ],
)
def test_adam_with_cross_entropy_classifies_as_training_does(load, n, hidden, rate, steps, least):
    rng = np.random.default_rng(3)
    prompt, labels = split(load, n, rng)
    learner = classifier(prompt.d, prompt.p, hidden, rate, rng)
    model = il.compile(learner, steps=steps, like=prompt)
    found = np.asarray(model(prompt)).argmax(axis=1)
    direct = np.asarray(il.run(learner, prompt, steps=steps)[-1]).argmax(axis=1)
    assert np.sum(found == labels) >= np.sum(direct == labels) - 1
    assert np.sum(found != direct) <= 1
    assert np.mean(found == labels) > least


def test_gradients_that_vanish_exactly_do_not_mislead_adam(rng):
    """A covariate that is always zero has a second moment of zero: the ratio's weakest point."""
    x = rng.normal(size=(31, 5))
    x[:, 2] = 0.0
    y = np.eye(3)[rng.integers(0, 3, 31)]
    prompt = il.Prompt(x[:23], y[:23], x[23:])
    learner = classifier(5, 3, 7, 0.01, rng)
    model = il.compile(learner, steps=5, like=prompt)
    gap = np.abs(model.iterates(prompt) - il.run(learner, prompt, steps=5))
    assert gap.max() < 1e-4
    assert model.check(prompt).outside <= 3
