import numpy as np

import innerloop as il
from innerloop.algorithms import fista, ista
from tests.oracles import lasso
from tests.registries import WEIGHTS, regression


def test_steps_entry_by_entry(rng):
    prompt = regression(rng)
    expected = lasso.fista(prompt, 0.05, 0.8, steps=5)
    found = il.run(fista(0.05, 0.8), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_the_first_two_steps_are_ista_and_the_third_is_not(rng):
    """The first momentum coefficient, `(t_1 - 1) / t_2`, is zero."""
    prompt = regression(rng)
    fast = il.run(fista(0.05, 0.8, weights=WEIGHTS), prompt, steps=3)
    slow = il.run(ista(0.05, 0.8, weights=WEIGHTS), prompt, steps=3)
    np.testing.assert_allclose(fast[:3], slow[:3], rtol=1e-12)
    assert not np.allclose(fast[3], slow[3], rtol=1e-3)


def test_many_steps_meet_the_lasso(rng):
    prompt = regression(rng)
    found = il.run(fista(0.1, 1.0), prompt, steps=1000)[-1]
    np.testing.assert_allclose(found, lasso.minimiser(prompt, 0.1), atol=1e-9)
