import numpy as np

import innerloop as il
from innerloop.algorithms import logistic_regression, ridge
from tests.oracles import logistic
from tests.registries import classification

EXACT = 1e-13


def test_every_step_is_a_weighted_least_squares_problem(rng):
    prompt = classification(rng)
    expected = logistic.reweighted_least_squares(prompt, 0.1, steps=5)
    found = il.run(logistic_regression(0.1, bound=3.0, tolerance=EXACT), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    other = logistic.reweighted_least_squares(prompt, 0.1 / prompt.n, steps=5)
    assert not np.allclose(found, other, rtol=1e-3)


def test_a_few_steps_meet_the_minimiser(rng):
    prompt = classification(rng)
    found = il.run(logistic_regression(0.1, bound=3.0), prompt, steps=9)[-1]
    np.testing.assert_allclose(found, logistic.minimiser(prompt, 0.1), rtol=1e-6)


def test_the_first_step_is_ridge_regression_on_signs(rng):
    """At `w = 0` every weight is 1/4 and the working response is 4 (y - 1/2)."""
    prompt = classification(rng)
    signs = il.Prompt(prompt.x, 4 * prompt.y - 2, prompt.xq)
    logits = il.run(ridge(0.4, bound=3.0, tolerance=EXACT), signs, steps=1)
    found = il.run(logistic_regression(0.1, bound=3.0, tolerance=EXACT), prompt, steps=1)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-10)
