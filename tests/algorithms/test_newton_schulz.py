import numpy as np
import pytest

import innerloop as il
from innerloop.algorithms import newton_schulz
from tests.oracles import least_squares
from tests.registries import regression


@pytest.mark.parametrize("n", [2, 13])
def test_closed_form(n, rng):
    prompt = regression(rng, n=n)
    expected = least_squares.iterates(prompt, least_squares.newton_schulz(0.2), steps=5)
    found = il.run(newton_schulz(0.2), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_it_is_the_iteration_of_matrices(rng):
    """The tokens' `M x_j` against the matrices M themselves."""
    prompt = regression(rng)
    matrix, moment = least_squares.second_moment(prompt), prompt.y.T @ prompt.x / prompt.n
    inverse = 0.2 * matrix
    for prediction in il.run(newton_schulz(0.2), prompt, steps=5):
        np.testing.assert_allclose(prediction, prompt.xq @ (moment @ inverse).T, rtol=1e-10)
        inverse = 2 * inverse - inverse @ matrix @ inverse


def test_each_step_squares_the_error_of_a_direction():
    prompt = il.Prompt([[1.0]], [[1.0]], [[1.0]])
    errors = 1 - il.run(newton_schulz(0.1), prompt, steps=7)[:, 0, 0]
    np.testing.assert_allclose(errors[1:], errors[:-1] ** 2, rtol=1e-10)
    assert errors[0] == 0.9


def test_many_steps_meet_least_squares(rng):
    prompt = regression(rng)
    exact = prompt.xq @ least_squares.solution(prompt).T
    np.testing.assert_allclose(il.run(newton_schulz(0.8), prompt, steps=20)[-1], exact, rtol=1e-9)


def test_at_the_end_of_the_interval_a_direction_is_lost():
    """`alpha = 2 / s^2`, as printed in the paper, leaves the error at 1 for ever."""
    prompt = il.Prompt([[1.0]], [[1.0]], [[1.0]])
    assert np.abs(1 - il.run(newton_schulz(2.0), prompt, steps=9)[1:]).min() == 1.0
    assert np.abs(1 - il.run(newton_schulz(1.9), prompt, steps=9)[-1]).max() < 1e-12
