"""The commands' networks against numpy, and their yardsticks against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.linear_model import Ridge

from innerloop import Prompt, run
from innerloop.cli.networks import he_initial, huber_error, network, network_learner
from innerloop.cli.specs import parse_loss, parse_model, parse_optimizer
from innerloop.cli.yardsticks import ridge, scikit_learn
from innerloop.report import Split


def _split(rng, p: int = 1) -> Split:
    return Split(
        x_train=rng.normal(size=(31, 5)) + 1.0,
        y_train=rng.normal(size=(31, p)),
        x_test=rng.normal(size=(11, 5)),
        y_test=rng.normal(size=(11, p)),
        x_shift=np.zeros(5),
        x_scale=np.ones(5),
        y_shift=np.zeros(p),
        y_scale=np.ones(p),
        features=tuple("abcde"),
        targets=tuple("xyz"[:p]),
    )


def test_hidden_layers_start_with_variance_two_over_inputs():
    first, last = he_initial((400, 300, 200), seed=2)
    assert first["W"].var() == pytest.approx(2 / 400, rel=0.02)
    assert last["W"].var() == pytest.approx(1 / 300, rel=0.02)
    assert not first["b"].any() and not last["b"].any()


def test_a_linear_model_starts_at_zero():
    (layer,) = he_initial((3, 2), seed=0)
    assert not layer["W"].any() and not layer["b"].any()


def test_the_network_is_the_formula(rng):
    params = he_initial((5, 7, 3), seed=1)
    first, last = ({**layer, "b": rng.normal(size=layer["b"].shape)} for layer in params)
    params = [first, last]
    x = rng.normal(size=5)
    expected = last["W"] @ np.maximum(first["W"] @ x + first["b"], 0) + last["b"]
    np.testing.assert_allclose(network(params, jnp.asarray(x)), expected, rtol=1e-12)


@pytest.mark.parametrize("delta", [0.3, 1.0, 5.0])
def test_hubers_loss_and_its_gradient_are_optax(rng, delta):
    a, b = (jnp.asarray(rng.normal(size=7) * 2) for _ in range(2))

    def theirs(a):
        return optax.huber_loss(a, b, delta=delta).sum()

    np.testing.assert_allclose(huber_error(a, b, delta=delta), theirs(a), rtol=1e-12)
    ours = jax.grad(lambda a: huber_error(a, b, delta=delta))(a)
    np.testing.assert_allclose(ours, jax.grad(theirs)(a), rtol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd:0.1", "momentum:0.1,0.8", "nesterov:0.1,0.8"])
def test_a_linear_model_follows_the_textbook(rng, optimizer):
    x, y, xq = rng.normal(size=(13, 3)), rng.normal(size=(13, 2)), rng.normal(size=(5, 3))
    spec = parse_optimizer(optimizer)
    learner = network_learner(parse_model("linear"), spec, parse_loss("squared"), d=3, p=2, seed=0)
    ones, w, v = np.ones((13, 1)), np.zeros((4, 2)), np.zeros((4, 2))
    for _ in range(5):
        g = np.hstack([x, ones]).T @ (np.hstack([x, ones]) @ w - y) / 13
        v = spec.decay * v + g
        w = w - spec.learning_rate * (spec.decay * v + g if spec.nesterov else v)
    expected = np.hstack([xq, np.ones((5, 1))]) @ w
    np.testing.assert_allclose(run(learner, Prompt(x, y, xq), steps=5)[-1], expected, rtol=1e-12)


def test_ridge_is_scikit_learns(rng):
    split = _split(rng, p=1)
    theirs = Ridge().fit(split.x_train, split.y_train)
    ours = ridge(split)
    assert ours.train == pytest.approx(theirs.score(split.x_train, split.y_train))
    assert ours.test == pytest.approx(theirs.score(split.x_test, split.y_test))
    assert scikit_learn(split, (3,), seed=0)[0].test == pytest.approx(ours.test)
