"""Comparisons of a square root with a constant, such as `norm == 0`, are exact at zero."""

import numpy as np
import optax
import pytest

import innerloop as il
from innerloop.compiler.functions import Function

ROOT = Function.of_operation("sqrt", np.sqrt, [Function.affine(2.0, 1.0)], "[]")
COMPARISONS = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
               "eq": np.equal, "ne": np.not_equal}  # fmt: skip


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("bound", [0.0, 3.0])
def test_a_root_compared_with_a_constant_is_a_jump_at_its_square(name, turned, bound):
    pair = [ROOT, Function.affine(0.0, bound)]
    found = Function.of_operation(name, COMPARISONS[name], pair[::-1] if turned else pair)
    assert found.pieces is not None and found.pieces.knots == ((bound**2 - 1) / 2,)
    x = np.array([-0.5, -0.4, 0.0, 3.9, 4.0, 4.1])
    values = [np.sqrt(2 * x + 1), np.full(6, bound)]
    expected = COMPARISONS[name](*(values[::-1] if turned else values))
    np.testing.assert_array_equal(found.evaluate(x), expected)


def test_a_root_compared_with_less_than_nothing_stays_as_it_is():
    found = Function.of_operation("le", np.less_equal, [ROOT, Function.affine(0.0, -1.0)])
    assert found.pieces is None
    np.testing.assert_array_equal(found.evaluate(np.array([0.0, 4.0])), [False, False])


@pytest.mark.parametrize("make", [optax.lars, optax.lamb])
def test_trust_ratios_of_parameters_that_start_at_zero(make, rng):
    prompt = il.Prompt(rng.normal(size=(7, 3)), rng.normal(size=(7, 2)), rng.normal(size=(5, 3)))
    params = {"w": rng.normal(size=(2, 3)), "b": np.zeros(2)}
    learner = il.learner(lambda p, x: p["w"] @ x + p["b"], params, optimizer=make(0.05))
    truth = il.run(learner, prompt, steps=2)
    model = il.compile(learner, steps=2, like=prompt)
    np.testing.assert_allclose(model.iterates(prompt), truth, atol=1e-5)
