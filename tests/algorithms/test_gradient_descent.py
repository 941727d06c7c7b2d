import jax
import numpy as np
import pytest

import innerloop as il
from innerloop.algorithms import gradient_descent
from tests.oracles import least_squares
from tests.registries import WEIGHTS, regression


@pytest.mark.parametrize(("n", "weights"), [(1, WEIGHTS), (2, WEIGHTS), (13, None)])
def test_closed_form(n, weights, rng):
    """With fewer examples than covariates too, where least squares has many solutions."""
    prompt = regression(rng, n=n)
    expected = least_squares.iterates(
        prompt, least_squares.gradient_descent(0.8), steps=5, weights=weights
    )
    found = il.run(gradient_descent(0.8, weights=weights), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("p", [1, 5])
def test_any_number_of_targets(p, rng):
    x, y, xq = (rng.normal(size=shape) for shape in [(13, 3), (13, p), (7, 3)])
    prompt, weights = il.Prompt(x, y, xq), rng.normal(size=(p, 3))
    expected = least_squares.iterates(
        prompt, least_squares.gradient_descent(0.3), steps=5, weights=weights
    )
    found = il.run(gradient_descent(0.3, weights=weights), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_the_initial_weights_are_seen(rng):
    prompt = regression(rng)
    expected = least_squares.iterates(prompt, least_squares.gradient_descent(0.8), steps=5)
    found = il.run(gradient_descent(0.8, weights=1e-3 * WEIGHTS), prompt, steps=5)
    assert not np.allclose(found, expected, rtol=1e-6)


def test_many_steps_meet_least_squares(rng):
    prompt = regression(rng)
    found = il.run(gradient_descent(1.5), prompt, steps=500)
    exact = prompt.xq @ least_squares.solution(prompt).T
    np.testing.assert_allclose(found[-1], exact, rtol=1e-10)
    assert not np.allclose(found[5], exact, rtol=1e-3)


def test_it_descends_along_the_derivative_of_its_objective(rng):
    """`L(W) = 1/(2n) sum_i |W x_i - y_i|^2`, differentiated by JAX."""
    prompt = regression(rng)

    def objective(weights):
        return ((prompt.x @ weights.T - prompt.y) ** 2).sum() / (2 * prompt.n)

    moved = WEIGHTS - 0.8 * jax.grad(objective)(jax.numpy.asarray(WEIGHTS))
    found = il.run(gradient_descent(0.8, weights=WEIGHTS), prompt, steps=1)
    np.testing.assert_allclose(found[1], prompt.xq @ moved.T, rtol=1e-12)
