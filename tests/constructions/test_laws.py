"""What every construction must obey: its algorithm, at three depths; the compiler; the mask."""

from functools import cache

import equinox as eqx
import jax
import numpy as np
import pytest

import innerloop as il
from innerloop.constructions import CONSTRUCTIONS

ENTRIES = {entry.name: entry for entry in CONSTRUCTIONS}
every_construction = pytest.mark.parametrize("name", ENTRIES)
at_three_depths = pytest.mark.parametrize("steps", [1, 2, 5])


@cache
def prompt_of(name):
    return ENTRIES[name].prompts(np.random.default_rng(11))


@cache
def iterates(name):
    """What the algorithm predicts after 0, ..., 5 steps."""
    return il.run(ENTRIES[name].algorithm(), prompt_of(name), steps=5)


@cache
def predictions(name, steps):
    return ENTRIES[name].construct(steps)(prompt_of(name))


def allowed(name):
    return ENTRIES[name].bound or 1e-10


@every_construction
@at_three_depths
def test_it_runs_its_algorithm(name, steps):
    np.testing.assert_allclose(
        predictions(name, steps), iterates(name)[steps], rtol=0, atol=allowed(name)
    )


@every_construction
@at_three_depths
def test_a_step_more_or_fewer_is_seen(name, steps):
    for other in (steps - 1, steps + 1):
        if other <= 5:
            assert np.abs(predictions(name, steps) - iterates(name)[other]).max() > 1e-3


@every_construction
def test_bounds_are_not_idle(name):
    """A construction with a bound is not exact, and the bound is within a factor of 1000."""
    if bound := ENTRIES[name].bound:
        assert np.abs(predictions(name, 5) - iterates(name)[5]).max() > bound / 1000


@every_construction
@pytest.mark.parametrize(
    "steps", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(5, marks=pytest.mark.slow)]
)
def test_the_compiler_finds_the_same_function_no_deeper(name, steps):
    prompt = prompt_of(name)
    learner = ENTRIES[name].algorithm()
    attention = ENTRIES[name].attention
    compiled = il.compile(learner, steps=steps, like=prompt, optimize="depth", attention=attention)
    np.testing.assert_allclose(
        compiled(prompt), predictions(name, steps), rtol=0, atol=max(allowed(name), 1e-10)
    )
    assert compiled.depth <= ENTRIES[name].construct(steps).depth


@every_construction
def test_weights_that_are_wrong_by_one_percent_are_seen(name):
    """The deliberate fault of the laws above, in the first head of every kernel."""
    model = ENTRIES[name].construct(2)
    for i in range(len(model.transformer.blocks.attention)):
        broken = eqx.tree_at(
            lambda m, i=i: m.transformer.blocks.attention[i].W_V,
            model,
            replace_fn=lambda w: 1.01 * w,
        )
        difference = np.abs(broken(prompt_of(name)) - iterates(name)[2]).max()
        assert difference > 3 * allowed(name)


@every_construction
def test_queries_together_are_queries_one_by_one(name):
    prompt = prompt_of(name)
    for i in (0, prompt.m - 1):
        alone = il.Prompt(prompt.x, prompt.y, prompt.xq[i : i + 1])
        found = ENTRIES[name].construct(5)(alone)
        np.testing.assert_allclose(found[0], predictions(name, 5)[i], rtol=1e-9, atol=1e-11)


@every_construction
def test_it_is_a_function_under_jit(name):
    prompt, model = prompt_of(name), ENTRIES[name].construct(2)
    found = jax.jit(lambda x, y, xq: model(il.Prompt(x, y, xq)))(prompt.x, prompt.y, prompt.xq)
    np.testing.assert_allclose(found, predictions(name, 2), rtol=1e-9, atol=1e-11)


MASKED = [
    name
    for name, entry in ENTRIES.items()
    if not entry.construct(1).one_query and entry.paper != "Akyurek et al. 2023"
]
"""Constructions with masked queries, but for those that read by position."""


@pytest.mark.parametrize("name", MASKED)
def test_a_query_that_is_read_is_seen(name):
    """The deliberate fault of the mask: with queries among the keys, another function."""
    model = ENTRIES[name].construct(5)
    for i in range(len(model.transformer.blocks.attention)):
        model = eqx.tree_at(
            lambda m, i=i: m.transformer.blocks.attention[i].sources,
            model,
            replace_fn=np.ones_like,
        )
    difference = np.abs(model(prompt_of(name)) - iterates(name)[5]).max()
    assert not difference <= 3 * allowed(name)
