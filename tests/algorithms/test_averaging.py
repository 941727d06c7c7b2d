import numpy as np

import innerloop as il
from innerloop.algorithms import averaging, gradient_descent
from tests.registries import regression


def test_it_is_the_mean_of_targets_times_inputs(rng):
    prompt = regression(rng)
    weights = np.mean([np.outer(y, x) for x, y in zip(prompt.x, prompt.y, strict=True)], axis=0)
    found = il.run(averaging(), prompt, steps=2)
    np.testing.assert_allclose(found[1], prompt.xq @ weights.T, rtol=1e-10)
    np.testing.assert_allclose(found[2], found[1], rtol=1e-13)
    assert (found[0] == 0).all()


def test_it_is_one_step_of_gradient_descent_with_rate_one(rng):
    prompt = regression(rng)
    found = il.run(averaging(), prompt, steps=2)
    expected = il.run(gradient_descent(1.0), prompt, steps=2)
    np.testing.assert_allclose(found[:2], expected[:2], rtol=1e-12)
    assert not np.allclose(found[2], expected[2], rtol=1e-3)
