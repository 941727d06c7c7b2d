import numpy as np

import innerloop as il
from innerloop.algorithms import gradient_descent, preconditioned_gradient_descent
from tests.oracles import least_squares
from tests.registries import PRECONDITIONER, WEIGHTS, regression


def test_closed_form(rng):
    prompt = regression(rng)
    learner = preconditioned_gradient_descent(PRECONDITIONER, weights=WEIGHTS)
    expected = least_squares.preconditioned(prompt, PRECONDITIONER, steps=5, weights=WEIGHTS)
    found = il.run(learner, prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)
    transposed = least_squares.preconditioned(prompt, PRECONDITIONER.T, steps=5, weights=WEIGHTS)
    assert not np.allclose(found, transposed, rtol=1e-4)


def test_a_multiple_of_the_identity_is_gradient_descent(rng):
    prompt = regression(rng)
    found = il.run(preconditioned_gradient_descent(0.8 * np.eye(3)), prompt, steps=5)
    expected = il.run(gradient_descent(0.8), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_inverse_second_moment_needs_one_step(rng):
    prompt = regression(rng)
    newton = np.linalg.inv(least_squares.second_moment(prompt))
    found = il.run(preconditioned_gradient_descent(newton, weights=WEIGHTS), prompt, steps=1)
    exact = prompt.xq @ least_squares.solution(prompt).T
    np.testing.assert_allclose(found[1], exact, rtol=1e-10)
