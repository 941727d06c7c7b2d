"""The commands' networks against numpy, and their yardsticks against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from innerloop import Prompt, compile, run
from innerloop.cli.losses import LOSSES, parse_loss
from innerloop.cli.networks import (
    he_initial,
    huber_error,
    loss_of,
    network,
    network_learner,
    quantile_error,
)
from innerloop.cli.optimizers import OPTIMIZERS, parse_optimizer
from innerloop.cli.specs import parse_model
from innerloop.cli.yardsticks import logistic, majority, ridge, scikit_learn
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
    decay = dict(spec.given).get("momentum", 0.0)
    ones, w, v = np.ones((13, 1)), np.zeros((4, 2)), np.zeros((4, 2))
    for _ in range(5):
        g = np.hstack([x, ones]).T @ (np.hstack([x, ones]) @ w - y) / 13
        v = decay * v + g
        w = w - 0.1 * (decay * v + g if spec.name == "nesterov" else v)
    expected = np.hstack([xq, np.ones((5, 1))]) @ w
    np.testing.assert_allclose(run(learner, Prompt(x, y, xq), steps=5)[-1], expected, rtol=1e-12)


def test_ridge_is_scikit_learns(rng):
    split = _split(rng, p=1)
    theirs = Ridge().fit(split.x_train, split.y_train)
    ours = ridge(split)
    assert ours.train == pytest.approx(theirs.score(split.x_train, split.y_train))
    assert ours.test == pytest.approx(theirs.score(split.x_test, split.y_test))
    assert scikit_learn(split, (3,), seed=0)[0].test == pytest.approx(ours.test)


def _classes(rng) -> Split:
    labels = np.array([0, 2, 2, 3] * 10)
    x = rng.normal(size=(40, 5)) + labels[:, None] * [1.0, 0.0, -0.5, 0.0, 0.0]
    y = np.eye(4)[labels]
    return Split(
        x_train=x[:29],
        y_train=y[:29],
        x_test=x[29:],
        y_test=y[29:],
        x_shift=np.zeros(5),
        x_scale=np.ones(5),
        y_shift=np.zeros(4),
        y_scale=np.ones(4),
        features=tuple("abcde"),
        targets=("p", "q", "r", "s"),
        classification=True,
        link="softmax",
    )


def test_the_baselines_of_a_classification_are_scikit_learns(rng):
    split = _classes(rng)
    train, test = split.y_train.argmax(1), split.y_test.argmax(1)
    pairs = (
        (majority(split), DummyClassifier(strategy="prior")),
        (logistic(split), LogisticRegression(max_iter=2000)),
    )
    for ours, theirs in pairs:
        theirs.fit(split.x_train, train)
        assert ours.train == pytest.approx(theirs.score(split.x_train, train))
        assert ours.test == pytest.approx(theirs.score(split.x_test, test))
        expected = log_loss(test, theirs.predict_proba(split.x_test), labels=[0, 2, 3])
        assert ours.log_loss == pytest.approx(expected)
    assert majority(split).name == "majority class (r)"


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_the_quantile_loss_is_least_at_the_quantile(rng, level):
    y = rng.normal(size=1001)
    guesses = np.linspace(-3, 3, 601)
    total = [float(quantile_error(jnp.full(1001, g), jnp.asarray(y), level=level)) for g in guesses]
    assert guesses[np.argmin(total)] == pytest.approx(np.quantile(y, level), abs=0.011)


LOGITS, ONE_HOT = np.array([1.0, -2.0, 0.5]), np.array([0.0, 1.0, 0.0])
SIGMOIDS = 1 / (1 + np.exp(-LOGITS))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("squared", 0.5 * ((LOGITS - ONE_HOT) ** 2).sum()),
        ("absolute", np.abs(LOGITS - ONE_HOT).sum()),
        ("huber:0.5", 0.5 * (1.0 - 0.25) + 0.5 * (3.0 - 0.25) + 0.5 * 0.5**2),
        ("quantile:0.25", 0.75 * 1.0 + 0.25 * 3.0 + 0.75 * 0.5),
        ("poisson", np.exp(LOGITS).sum() + 2.0),
        ("softmax", np.log(np.exp(LOGITS).sum()) + 2.0),
        ("sigmoid", -np.log(1 - SIGMOIDS[0]) - np.log(SIGMOIDS[1]) - np.log(1 - SIGMOIDS[2])),
        ("hinge", 2.0 + 3.0 + 1.5),
    ],
)
def test_every_loss_is_the_textbooks(name, expected):
    spec = parse_loss(name)
    assert float(loss_of(spec)(jnp.asarray(LOGITS), jnp.asarray(ONE_HOT))) == pytest.approx(
        expected
    )


def test_there_is_a_value_for_every_loss():
    marks = test_every_loss_is_the_textbooks.pytestmark[0].args[1]
    assert {name.partition(":")[0] for name, _ in marks} == set(LOSSES)


def _agreement(optimizer: str, loss: str, rng) -> float:
    """How far the compiled model is from the learner, relative to what two steps changed."""
    x, xq = rng.normal(size=(11, 3)), rng.normal(size=(5, 3))
    y = np.eye(2)[np.arange(11) % 2] + (0 if LOSSES[loss].targets == "classes" else x[:, :2] ** 2)
    learner = network_learner(
        parse_model("mlp:3"), parse_optimizer(optimizer), parse_loss(loss), d=3, p=2, seed=0
    )
    prompt = Prompt(x, y, xq)
    direct = run(learner, prompt, steps=2)
    learnt = np.abs(direct[-1] - direct[0]).max()
    assert learnt > 1e-4
    found = compile(learner, steps=2, like=prompt).iterates(prompt)
    return float(np.abs(found - direct).max() / learnt)


FEW = ("sgd", "optimistic", "adam", "lion", "lars", "rprop")


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=() if k in FEW else pytest.mark.slow) for k in OPTIMIZERS]
)
def test_every_optimiser_compiles(name, rng):
    text = f"{name}:0.05" + ",0.9" * len(OPTIMIZERS[name].needed)
    assert _agreement(text, "squared", rng) < 1e-3


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_compiles(name, rng):
    assert _agreement("sgd:0.05", name, rng) < 1e-5
