import numpy as np

import innerloop as il
from innerloop.algorithms import gradient_descent, ista
from tests.oracles import lasso
from tests.registries import WEIGHTS, regression


def test_steps_entry_by_entry(rng):
    prompt = regression(rng)
    expected = lasso.ista(prompt, 0.05, 0.8, steps=5)
    found = il.run(ista(0.05, 0.8), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_a_wrong_threshold_is_seen(rng):
    """The penalty is multiplied by the step size."""
    prompt = regression(rng)
    found = il.run(ista(0.05 / 0.8, 0.8), prompt, steps=5)
    assert not np.allclose(found, lasso.ista(prompt, 0.05, 0.8, steps=5), rtol=1e-3)


def test_many_steps_meet_the_lasso_and_its_zeros(rng):
    prompt = regression(rng)
    found = il.run(ista(0.1, 1.0), il.Prompt(prompt.x, prompt.y, np.eye(3)), steps=1000)[-1]
    expected = lasso.minimiser(il.Prompt(prompt.x, prompt.y, np.eye(3)), 0.1)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_array_equal(found == 0, expected == 0)
    assert (found == 0).any() and (found != 0).any()


def test_without_penalty_it_is_gradient_descent(rng):
    prompt = regression(rng)
    found = il.run(ista(0.0, 0.8, weights=WEIGHTS), prompt, steps=5)
    expected = il.run(gradient_descent(0.8, weights=WEIGHTS), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
