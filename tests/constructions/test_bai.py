"""Bai et al. (2023): convex losses, ridge, the Lasso, and the hinges they are made of."""

import numpy as np
import pytest
from scipy.special import expit

import innerloop as il
from innerloop import constructions
from innerloop.constructions import Hinges, interpolant, interpolation_error
from tests.oracles import deep_network, lasso, least_squares
from tests.registries import classification, regression

SIZES = {"d": 3, "p": 2}


@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.parametrize("steps", [1, 2, 5, 50])
def test_theorem_13_and_ridge(steps, penalty, rng):
    """Ridge shifts the spectrum: `W_k = C (S + lambda)^{-1} (I - (I - eta (S + lambda))^k)`."""
    prompt = regression(rng)
    system = least_squares.second_moment(prompt) + penalty * np.eye(3)
    power = np.linalg.matrix_power(np.eye(3) - 0.7 * system, steps)
    limit = np.linalg.solve(system, prompt.x.T @ prompt.y / prompt.n)
    model = constructions.convex_gradient_descent(
        **SIZES, steps=steps, learning_rate=0.7, penalty=penalty
    )
    expected = prompt.xq @ (limit - power @ limit)
    np.testing.assert_allclose(model(prompt), expected, rtol=1e-10, atol=1e-12)
    heads = model.transformer.blocks.attention[0].W_Q.shape[1]
    assert (model.depth, heads) == (steps + 1, 4 + (penalty > 0))


def test_ridge_meets_scikit_learn(rng):
    prompt = regression(rng)
    model = constructions.convex_gradient_descent(
        **SIZES, steps=300, learning_rate=0.9, penalty=0.1
    )
    np.testing.assert_allclose(model(prompt), least_squares.ridge(prompt, 0.1), rtol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_theorem_10(steps, rng):
    prompt = regression(rng)
    model = constructions.lasso(**SIZES, steps=steps, learning_rate=0.8, penalty=0.05)
    expected = lasso.ista(prompt, 0.05, 0.8, steps=steps)[-1]
    np.testing.assert_allclose(model(prompt), expected, rtol=1e-10, atol=1e-12)
    assert model.depth == steps + 1
    unpenalised = constructions.lasso(**SIZES, steps=steps, learning_rate=0.8, penalty=0.0)
    assert not np.allclose(unpenalised(prompt), expected, rtol=1e-3)


def logistic_descent(prompt, rate, steps, derivative=expit):
    w = np.zeros(prompt.d)
    for _ in range(steps):
        w = w - rate * (derivative(prompt.x @ w) - prompt.y[:, 0]) @ prompt.x / prompt.n
    return w


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_logistic_loss_within_its_linear_bound(steps, rng):
    """`l eta eps B_x` for the weights, with slope -2 in the number of hinges."""
    prompt, rate, radius = classification(rng), 2.0, 4.0
    exact = logistic_descent(prompt, rate, steps)
    errors = []
    for intervals in (8, 16, 32, 64):
        model = constructions.convex_gradient_descent(
            d=3,
            p=1,
            steps=steps,
            learning_rate=rate,
            loss=constructions.logistic(radius, intervals),
        )
        weights = model.stream(prompt)[0, 5:8]
        errors.append(np.abs(weights - exact).max())
        eps = interpolation_error(constructions.SIGMOID_CURVATURE, radius, intervals)
        bound = steps * rate * eps * np.linalg.norm(prompt.x, axis=1).max()
        assert np.linalg.norm(weights - exact) <= bound
        np.testing.assert_allclose(
            weights,
            logistic_descent(
                prompt, rate, steps, interpolant(expit, radius, intervals)
            ),
            rtol=1e-9, atol=1e-12,
        )  # fmt: skip
    if steps == 5:
        slope = np.polyfit(np.log([8, 16, 32, 64]), np.log(errors), 1)[0]
        assert -2.6 < slope < -1.6


@pytest.mark.parametrize(
    ("function", "curvature"),
    [(expit, constructions.SIGMOID_CURVATURE), (np.square, 2.0), (np.sin, 1.0)],
)
def test_interpolants_meet_their_bound(function, curvature):
    t = np.linspace(-3, 3, 20_001)
    for intervals in (9, 18, 36):
        error = np.abs(interpolant(function, 3.0, intervals)(t) - function(t)).max()
        bound = interpolation_error(curvature, 3.0, intervals)
        assert 0.85 * bound < error <= bound * (1 + 1e-9)


def test_the_number_of_intervals_is_enough_and_needed():
    for error in (1e-2, 1e-3, 1e-4):
        needed = constructions.intervals_needed(2.0, 3.0, error)
        assert interpolation_error(2.0, 3.0, needed) <= error * (1 + 1e-9)
        assert interpolation_error(2.0, 3.0, needed - 1) > error


def test_hinges_are_sums_of_relus():
    hinges = Hinges(np.array([2.0, -1.0]), np.array([1.0, -3.0]), np.array([0.5, 0.0]))
    assert hinges(np.array([1.0, -1.0])).tolist() == [3.0, -3.0]
    assert hinges.size == 2 * 1.5 + 3


def test_another_loss_is_another_answer(rng):
    prompt = classification(rng)
    squared, logistic = (
        constructions.convex_gradient_descent(d=3, p=1, steps=5, learning_rate=0.8, loss=loss)
        for loss in (constructions.SQUARED, constructions.logistic(4.0, 64))
    )
    assert not np.allclose(squared(prompt), logistic(prompt), atol=1e-2)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_theorem_g_1(steps, rng):
    """Two blocks a step, against backpropagation written out."""
    hidden, output = rng.normal(size=(5, 3)), rng.normal(size=5)
    x, y, xq = rng.normal(size=(11, 3)), rng.normal(size=(11, 1)), rng.normal(size=(7, 3))
    path = deep_network.descend([hidden, output[None]], x, y, 0.1, steps, np.inf, output="none")
    expected = deep_network.forward(path[-1], xq, output="none")[1][-1]
    assert deep_network.margin(path, x, output="none") > 1e-5
    model, soft = (
        constructions.two_layer_network(
            hidden, output, steps=steps, learning_rate=0.1, sharpness=sharpness
        )
        for sharpness in (1e6, 1.0)
    )
    prompt = il.Prompt(x, y, xq)
    np.testing.assert_allclose(model(prompt), expected, rtol=0, atol=1e-8)
    assert np.abs(soft(prompt) - expected).max() > 1e-4
    assert model.depth == 2 * steps + 1


PENALTIES = (0.0, 0.3, 3.0)


def ridge_descent(x, y, penalty, rate, steps):
    w = np.zeros(x.shape[1])
    for _ in range(steps):
        w = w - rate * (x.T @ (x @ w - y) / len(x) + penalty * w)
    return w


@pytest.mark.parametrize("noise", [0.0, 3.0])
@pytest.mark.parametrize("steps", [2, 5, 20])
def test_selection_by_validation(steps, noise, rng):
    """The best on the last five examples, or the printed mixture; a first step knows no penalty."""
    x, xq = rng.normal(size=(13, 3)), rng.normal(size=(7, 3))
    y = x @ np.array([1.0, -1.0, 0.5]) * (noise == 0) + noise * rng.normal(size=13)
    candidates = [ridge_descent(x[:8], y[:8], lam, 0.2, steps) for lam in PENALTIES]
    losses = np.array([np.mean((x[8:] @ w - y[8:]) ** 2) / 2 for w in candidates])
    for resolution in (1e-6, 0.1):
        c = np.maximum(losses[:, None] - losses, 0).sum(1)
        u = np.maximum(1 - c / resolution, 0)
        total = np.concatenate([[0.0], np.cumsum(u)])
        shares = np.maximum(1 - total[:-1], 0) - np.maximum(1 - total[1:], 0)
        expected = xq @ (shares @ np.array(candidates))
        model = constructions.select_ridge(
            PENALTIES, d=3, training=8, validation=5, steps=steps, learning_rate=0.2,
            resolution=resolution,
        )  # fmt: skip
        found = model(il.Prompt(x, y[:, None], xq))[:, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
        if resolution == 1e-6:
            np.testing.assert_allclose(found, xq @ candidates[losses.argmin()], atol=1e-9)
            assert np.abs(found - xq @ candidates[losses.argmax()]).max() > 1e-3
    assert model.depth == steps + 5
