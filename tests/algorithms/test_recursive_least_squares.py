import numpy as np
import pytest

import innerloop as il
from innerloop.algorithms import recursive_least_squares, ridge
from tests.oracles import least_squares, recursive
from tests.registries import ordered


@pytest.mark.parametrize("penalty", [0.5, 2.0])
def test_every_prefix_is_ridge_regression(penalty, rng):
    prompt = ordered(rng)
    expected = recursive.prefixes(prompt, penalty, steps=13)
    found = il.run(recursive_least_squares(penalty), prompt, steps=13)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_the_positions_are_the_order_not_the_rows(rng):
    prompt = ordered(rng)
    order = rng.permutation(prompt.n)
    renumbered = il.Prompt(
        np.column_stack([prompt.x[:, :-1], prompt.x[order, -1]]), prompt.y, prompt.xq
    )
    found = il.run(recursive_least_squares(0.5), renumbered, steps=5)
    expected = recursive.prefixes(renumbered, 0.5, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)
    assert not np.allclose(found, recursive.prefixes(prompt, 0.5, steps=5), rtol=1e-3)


def test_after_the_last_example_it_is_ridge_regression_and_stays(rng):
    prompt = ordered(rng, n=5)
    plain = il.Prompt(prompt.x[:, :-1], prompt.y, prompt.xq[:, :-1])
    found = il.run(recursive_least_squares(0.5), prompt, steps=9)
    whole = il.run(ridge(0.1, bound=3.0, tolerance=1e-12), plain, steps=1)
    np.testing.assert_allclose(found[5], least_squares.ridge(plain, 0.1), rtol=1e-10)
    np.testing.assert_allclose(found[5], whole[1], rtol=1e-9)
    np.testing.assert_allclose(found[6:], np.broadcast_to(found[5], (4, 7, 2)), rtol=1e-13)


def test_a_querys_position_is_not_read(rng):
    prompt = ordered(rng)
    placed = il.Prompt(prompt.x, prompt.y, prompt.xq + [0.0, 0.0, 0.0, 3.0])
    found, expected = (
        il.run(recursive_least_squares(0.5), each, steps=5) for each in (placed, prompt)
    )
    np.testing.assert_array_equal(found, expected)
