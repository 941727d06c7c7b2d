"""Twins of the equality tests, each with one deliberate fault in the weights: every one is seen.

A model whose weights were changed has the shapes of the honest one: run densely, with the weights
as arguments, it needs no new compilation.
"""

from functools import cache

import equinox as eqx
import numpy as np
import pytest

import innerloop as il
from innerloop.models import Transformer
from innerloop.tokens import QUERY_ROLE
from tests.compiler.cases import assert_same, assert_seen, trained

CASE = ("mlp-3", "momentum", 5, 7)


@cache
def honest():
    """A model, its prompt, and what its learner predicts."""
    learner, prompt, expected, _ = trained(*CASE)
    return il.compile(learner, steps=CASE[2], like=prompt), prompt, expected


def parts_of_the_step(kind, computes=""):
    """Where parts stand in the bank: `(layer, head or slice of neurons)`."""
    found, starts = [], {}
    for row in honest()[0].anatomy().rows:
        if row.block == "step" and row.kind == kind:
            start = starts.get(row.layer, 0)
            starts[row.layer] = start + (1 if kind == "head" else row.size)
            if computes in row.computes:
                here = start if kind == "head" else slice(start, start + row.size)
                found.append((row.layer - 1, here))
    return found


def with_fault(where, edit):
    """The honest model with one array of its blocks edited."""
    model = honest()[0]
    array = np.array(where(model.transformer.blocks))
    edit(array)
    return eqx.tree_at(lambda m: where(m.transformer.blocks), model, array)


def negated(*place):
    def edit(array):
        array[place] = -array[place]

    return edit


def test_the_honest_model_is_the_learner():
    model, prompt, expected = honest()
    assert_same(model.iterates(prompt, dense=True), expected)


def test_a_query_counted_in_the_mean_is_seen():
    model, prompt, expected = honest()
    averages = model.transformer.blocks.attention[0].averages

    def edit(sources):
        sources[averages, QUERY_ROLE] = True

    faulty = with_fault(lambda blocks: blocks.attention[0].sources, edit)
    assert averages.any()
    assert_seen(faulty.iterates(prompt, dense=True), expected)
    assert_seen(faulty.iterates(prompt), expected)


def test_a_sum_in_place_of_a_mean_is_seen():
    _, prompt, expected = honest()
    faulty = with_fault(lambda blocks: blocks.attention[0].averages, lambda array: array.fill(0))
    assert_seen(faulty.iterates(prompt, dense=True), expected)


def test_a_missing_wipe_is_seen_wherever_it_is():
    """All subspaces of a looped block are written again in the next step."""
    _, prompt, expected = honest()
    wipes = parts_of_the_step("neurons", "wipe")
    assert len(wipes) > 5
    for layer, neurons in wipes:

        def edit(array, layer=layer, neurons=neurons):
            array[layer, :, neurons] = 0.0

        faulty = with_fault(lambda blocks: blocks.mlp.W_out, edit)
        assert_seen(faulty.iterates(prompt, dense=True), expected)


def test_a_gate_that_is_off_by_one_is_seen():
    _, prompt, expected = honest()
    gates = parts_of_the_step("neurons", "gate")
    assert len(gates) == 2
    for layer, neurons in gates:

        def edit(array, layer=layer, neurons=neurons):
            array[layer, neurons] = np.roll(array[layer, neurons], 1, axis=0)

        faulty = with_fault(lambda blocks: blocks.mlp.W_gate, edit)
        assert_seen(faulty.iterates(prompt, dense=True), expected)


def test_a_wrong_sign_is_seen_in_any_head():
    _, prompt, expected = honest()
    for layer, head in parts_of_the_step("head"):
        faulty = with_fault(lambda blocks: blocks.attention[0].W_O, negated(layer, head))
        assert_seen(faulty.iterates(prompt, dense=True), expected)


def test_a_wrong_sign_is_seen_in_any_group_of_neurons():
    _, prompt, expected = honest()
    for layer, neurons in parts_of_the_step("neurons"):
        place = (layer, slice(None), neurons)
        faulty = with_fault(lambda blocks: blocks.mlp.W_out, negated(*place))
        assert_seen(faulty.iterates(prompt, dense=True), expected)


@pytest.mark.parametrize("steps", [4, 6])
def test_another_number_of_steps_is_seen(steps):
    learner, prompt, expected, _ = trained(*CASE)
    faulty = il.compile(learner, steps=steps, like=prompt)
    assert_seen(faulty(prompt, dense=True), expected[-1])


def test_a_layer_too_few_is_seen():
    model, prompt, expected = honest()
    order = model.transformer.order
    short = Transformer(model.transformer.blocks, order[:5] + order[6:])
    faulty = eqx.tree_at(lambda m: m.transformer, model, short)
    assert_seen(faulty(prompt, dense=True), expected[-1])


def test_layers_in_another_order_are_seen():
    model, prompt, expected = honest()
    first, second, *rest = model.transformer.order
    turned = Transformer(model.transformer.blocks, (second, first, *rest))
    faulty = eqx.tree_at(lambda m: m.transformer, model, turned)
    assert_seen(faulty(prompt, dense=True), expected[-1])
