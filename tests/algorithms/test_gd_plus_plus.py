import numpy as np
import pytest

import innerloop as il
from innerloop.algorithms import gd_plus_plus, gradient_descent
from tests.oracles import least_squares
from tests.registries import WEIGHTS, regression


@pytest.mark.parametrize(("n", "weights"), [(2, WEIGHTS), (13, None)])
def test_closed_form(n, weights, rng):
    """Eigenvalues shrink by `(1 - gamma s)^2` a step, and the error by `1 - eta s`."""
    prompt = regression(rng, n=n)
    expected = least_squares.iterates(
        prompt, least_squares.gd_plus_plus(0.8, 0.3), steps=5, weights=weights
    )
    found = il.run(gd_plus_plus(0.8, 0.3, weights=weights), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_without_curvature_it_is_gradient_descent(rng):
    prompt = regression(rng)
    found = il.run(gd_plus_plus(0.8, 0.0, weights=WEIGHTS), prompt, steps=5)
    expected = il.run(gradient_descent(0.8, weights=WEIGHTS), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_curvature_is_seen_from_the_second_step_on(rng):
    """The last transformation never reaches the prediction, so the first step cannot tell."""
    prompt = regression(rng)
    found = il.run(gd_plus_plus(0.8, 0.3), prompt, steps=5)
    expected = il.run(gradient_descent(0.8), prompt, steps=5)
    np.testing.assert_allclose(found[:2], expected[:2], rtol=1e-10)
    assert not np.allclose(found[2], expected[2], rtol=1e-3)
