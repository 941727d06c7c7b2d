import numpy as np

import innerloop as il
from innerloop.algorithms import chebyshev, gradient_descent, heavy_ball
from tests.oracles import least_squares
from tests.registries import WEIGHTS, regression


def test_closed_form(rng):
    """The error is a Chebyshev polynomial of the spectrum, inside the bounds and outside."""
    prompt = regression(rng)
    expected = least_squares.iterates(
        prompt, least_squares.chebyshev(0.3, 0.5), steps=5, weights=WEIGHTS
    )
    found = il.run(chebyshev(0.3, 0.5, weights=WEIGHTS), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_the_first_step_is_gradient_descent_and_the_second_is_not(rng):
    prompt = regression(rng)
    found = il.run(chebyshev(0.2, 0.8), prompt, steps=2)
    expected = il.run(gradient_descent(2.0), prompt, steps=2)
    np.testing.assert_allclose(found[:2], expected[:2], rtol=1e-12)
    assert not np.allclose(found[2], expected[2], rtol=1e-3)


def test_it_beats_the_best_constant_step_on_its_spectrum(rng):
    prompt = regression(rng, n=101)
    low, high = np.linalg.eigvalsh(least_squares.second_moment(prompt))[[0, -1]]
    exact = prompt.xq @ least_squares.solution(prompt).T
    errors = [
        np.abs(il.run(learner, prompt, steps=7)[-1] - exact).max()
        for learner in (chebyshev(low, high), gradient_descent(2 / (low + high)))
    ]
    assert errors[0] < errors[1]


def test_its_steps_tend_to_the_best_heavy_balls():
    """On one covariate of second moment 0.3 the ratio of successive errors becomes the same."""
    low, high = 0.1, 1.0
    rate = (2 / (np.sqrt(high) + np.sqrt(low))) ** 2
    momentum = ((np.sqrt(high) - np.sqrt(low)) / (np.sqrt(high) + np.sqrt(low))) ** 2
    prompt = il.Prompt([[np.sqrt(0.3)]], [[1.0]], [[np.sqrt(0.3)]])
    envelope = [
        np.abs(1 - il.run(learner, prompt, steps=40)[20:, 0, 0]).max()
        for learner in (chebyshev(low, high), heavy_ball(rate, momentum))
    ]
    bound = np.sqrt(momentum) ** 20
    assert envelope[0] < 3 * bound
    assert envelope[1] < 60 * bound
