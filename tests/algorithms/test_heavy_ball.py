import numpy as np
import optax

import innerloop as il
from innerloop.algorithms import gradient_descent, heavy_ball
from tests.oracles import least_squares
from tests.registries import WEIGHTS, regression


def test_closed_form(rng):
    prompt = regression(rng)
    expected = least_squares.iterates(
        prompt, least_squares.heavy_ball(0.8, 0.4), steps=5, weights=WEIGHTS
    )
    found = il.run(heavy_ball(0.8, 0.4, weights=WEIGHTS), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_without_momentum_it_is_gradient_descent(rng):
    prompt = regression(rng)
    still, ball = (
        il.run(learner, prompt, steps=5) for learner in (heavy_ball(0.8, 0.0), heavy_ball(0.8, 0.1))
    )
    expected = il.run(gradient_descent(0.8), prompt, steps=5)
    np.testing.assert_allclose(still, expected, rtol=1e-12)
    np.testing.assert_allclose(ball[:2], expected[:2], rtol=1e-12)
    assert not np.allclose(ball[2:], expected[2:], rtol=1e-3)


def test_it_is_optax_momentum_on_a_linear_network(rng):
    """Optax carries the sum of gradients where the heavy ball carries the step."""
    prompt = regression(rng)
    network = il.learner(
        lambda weights, x: weights @ x, WEIGHTS, optimizer=optax.sgd(0.8, momentum=0.4)
    )
    found = il.run(heavy_ball(0.8, 0.4, weights=WEIGHTS), prompt, steps=5)
    np.testing.assert_allclose(found, il.run(network, prompt, steps=5), rtol=1e-10)
