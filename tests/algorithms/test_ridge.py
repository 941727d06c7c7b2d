import numpy as np
import pytest

import innerloop as il
from innerloop.algorithms import newton_schulz, ridge
from tests.oracles import least_squares
from tests.registries import regression


@pytest.mark.parametrize(("n", "penalty"), [(2, 0.1), (13, 0.01), (13, 1.0)])
def test_it_is_ridge_regression(n, penalty, rng):
    prompt = regression(rng, n=n)
    found = il.run(ridge(penalty, bound=3.0, tolerance=1e-12), prompt, steps=2)
    expected = least_squares.ridge(prompt, penalty)
    assert (found[0] == 0).all()
    np.testing.assert_allclose(found[1], expected, rtol=1e-10)
    assert not np.allclose(found[1], least_squares.ridge(prompt, penalty / n), rtol=1e-3)
    np.testing.assert_allclose(found[2], found[1], rtol=1e-13)


@pytest.mark.parametrize("tolerance", [1e-1, 1e-4])
def test_the_error_is_below_the_tolerance_and_falls_with_it(tolerance, rng):
    """The inverse's relative error bounds the weights' in the norm."""
    prompt = regression(rng)
    queries = il.Prompt(prompt.x, prompt.y, np.eye(3))
    found = il.run(ridge(0.1, bound=3.0, tolerance=tolerance), queries, steps=1)[1]
    exact = least_squares.ridge(queries, 0.1)
    error = np.linalg.norm(found - exact, axis=0) / np.linalg.norm(exact, axis=0)
    assert (error <= tolerance).all()
    assert error.max() > 1e-16


def test_without_much_penalty_it_meets_iterative_newton(rng):
    prompt = regression(rng)
    found = il.run(ridge(1e-9, bound=3.0, tolerance=1e-9), prompt, steps=1)[-1]
    newton = il.run(newton_schulz(0.2), prompt, steps=30)[-1]
    np.testing.assert_allclose(found, newton, rtol=1e-6)
