import numpy as np

import innerloop as il
from innerloop.algorithms import conjugate_gradient, gradient_descent
from tests.oracles import least_squares
from tests.registries import WEIGHTS, regression


def wide_prompt(rng):
    """Seven covariates, so that five steps are short of the solution."""
    x, y, xq = (rng.normal(size=shape) for shape in [(13, 7), (13, 2), (11, 7)])
    return il.Prompt(x, y, xq)


def test_each_iterate_is_the_best_of_its_krylov_space_and_not_of_the_next(rng):
    prompt, weights = wide_prompt(rng), rng.normal(size=(2, 7))
    expected = least_squares.krylov(prompt, steps=6, weights=weights)
    found = il.run(conjugate_gradient(weights=weights), prompt, steps=5)
    np.testing.assert_allclose(found, expected[:-1], rtol=1e-10, atol=1e-12)
    assert not np.allclose(found, expected[1:], rtol=1e-3)


def test_as_many_steps_as_covariates_meet_least_squares_and_stay(rng):
    prompt = regression(rng)
    exact = prompt.xq @ least_squares.solution(prompt).T
    found = il.run(conjugate_gradient(weights=WEIGHTS), prompt, steps=100)
    for k in (3, 4, 5, 50, 100):
        np.testing.assert_allclose(found[k], exact, rtol=1e-10)


def test_a_solved_target_rests_while_others_go_on(rng):
    """The first target is zero, solved by the initial weights: nothing divides by its residual."""
    prompt = regression(rng)
    prompt = il.Prompt(prompt.x, prompt.y * [0.0, 1.0], prompt.xq)
    found = il.run(conjugate_gradient(), prompt, steps=5)
    assert (found[:, :, 0] == 0).all()
    exact = prompt.xq @ least_squares.solution(prompt).T
    np.testing.assert_allclose(found[-1, :, 1], exact[:, 1], rtol=1e-10)


def test_one_covariate_is_gradient_descent_with_the_best_step(rng):
    x, y, xq = rng.normal(size=(13, 1)), rng.normal(size=(13, 2)), rng.normal(size=(7, 1))
    prompt = il.Prompt(x, y, xq)
    best_rate = 1 / float((x**2).mean())
    expected = il.run(gradient_descent(best_rate), prompt, steps=1)
    np.testing.assert_allclose(il.run(conjugate_gradient(), prompt, steps=1), expected, rtol=1e-10)
