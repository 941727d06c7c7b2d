import numpy as np

import innerloop as il
from innerloop.algorithms import power_iteration
from tests.oracles import components, least_squares
from tests.registries import DIRECTION, regression


def test_closed_form(rng):
    """The start's length does not matter, its direction does."""
    prompt = regression(rng)
    expected = components.power_iteration(prompt, DIRECTION, steps=5)
    found = il.run(power_iteration(10 * DIRECTION), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)
    other = components.power_iteration(prompt, DIRECTION[::-1], steps=5)
    assert not np.allclose(found, other, rtol=1e-3)


def test_with_inputs_for_targets_it_projects_on_the_first_component(rng):
    prompt = regression(rng)
    x = prompt.x * [0.1, 0.2, 0.05]  # without the norm, powers of these would vanish
    prompt = il.Prompt(x, x, prompt.xq)
    found = il.run(power_iteration(DIRECTION), prompt, steps=500)[-1]
    np.testing.assert_allclose(found, components.projection(prompt), atol=1e-9)


def test_one_covariate_is_least_squares(rng):
    x, y, xq = rng.normal(size=(13, 1)), rng.normal(size=(13, 2)), rng.normal(size=(7, 1))
    prompt = il.Prompt(x, y, xq)
    found = il.run(power_iteration(np.ones(1)), prompt, steps=1)[1]
    np.testing.assert_allclose(found, xq @ least_squares.solution(prompt).T, rtol=1e-10)
