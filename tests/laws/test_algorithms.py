"""What every learning algorithm must obey, whatever it computes."""

from functools import cache

import jax
import numpy as np
import pytest

import innerloop as il
from innerloop import learners
from tests.registries import ALGORITHMS, NOT_HOMOGENEOUS

STEPS = 5
MAKE = {name: (make, prompts) for name, make, prompts in ALGORITHMS}
every_algorithm = pytest.mark.parametrize("name", MAKE)


@cache
def jitted(name: str):
    """The algorithm's predictions as a function of arrays, compiled once for all laws."""
    learner = MAKE[name][0]()
    return jax.jit(lambda x, y, xq: il.run(learner, il.Prompt(x, y, xq), steps=STEPS))


@cache
def prompt_of(name: str) -> il.Prompt:
    return MAKE[name][1](np.random.default_rng(7))


def predictions(name, *, x=None, y=None, xq=None):
    """All iterates' predictions, with some of the prompt's arrays replaced."""
    prompt = prompt_of(name)
    arrays = (a if b is None else b for a, b in ((prompt.x, x), (prompt.y, y), (prompt.xq, xq)))
    return np.asarray(jitted(name)(*arrays))


@every_algorithm
def test_it_learns_something(name):
    found = predictions(name)
    assert found.shape == (STEPS + 1, 7, prompt_of(name).p)
    assert np.isfinite(found).all()
    assert np.abs(found[-1] - found[0]).max() > 0.05


@every_algorithm
def test_the_order_of_the_context_does_not_matter(name):
    prompt = prompt_of(name)
    order = np.random.default_rng(3).permutation(prompt.n)
    shuffled = predictions(name, x=prompt.x[order], y=prompt.y[order])
    np.testing.assert_allclose(shuffled, predictions(name), rtol=1e-10, atol=1e-12)


@every_algorithm
def test_the_pairing_of_inputs_and_targets_does_matter(name):
    """The deliberate fault of the law above."""
    broken = predictions(name, y=np.roll(prompt_of(name).y, 1, axis=0))
    assert not np.allclose(broken, predictions(name), rtol=1e-4)


@every_algorithm
def test_queries_together_are_queries_one_by_one(name):
    """Each query in the company of its own copies gets what it gets among the others."""
    together = predictions(name)
    for i, query in enumerate(prompt_of(name).xq):
        alone = predictions(name, xq=np.tile(query, (7, 1)))
        np.testing.assert_allclose(alone[:, 0], together[:, i], rtol=1e-10, atol=1e-12)


@every_algorithm
def test_a_query_of_nan_is_nobody_elses_business(name):
    xq = prompt_of(name).xq.copy()
    xq[3] = np.nan
    others = np.arange(7) != 3
    found = predictions(name, xq=xq)
    np.testing.assert_array_equal(found[:, others], predictions(name)[:, others])


@every_algorithm
def test_a_query_that_is_read_is_seen(name, monkeypatch):
    """The deliberate fault of the two laws above: a query taken for an example with target 1."""
    honest = learners.data_tokens

    def with_a_spy(prompt):
        x, y, is_context = honest(prompt)
        is_spy = np.arange(len(is_context)) == prompt.n
        return x, y + is_spy[:, None], is_context | is_spy

    monkeypatch.setattr(learners, "data_tokens", with_a_spy)
    prompt = prompt_of(name)
    if name == "recursive_least_squares":  # which reads an example when its position comes
        prompt = il.Prompt(prompt.x, prompt.y, np.where(prompt.xq == 0, 1.0, prompt.xq))
    found = il.run(MAKE[name][0](), prompt, steps=STEPS)
    assert not np.allclose(found, predictions(name), rtol=1e-5)


@every_algorithm
def test_one_query_eagerly_is_seven_jitted(name):
    prompt = prompt_of(name)
    eager = il.run(MAKE[name][0](), il.Prompt(prompt.x, prompt.y, prompt.xq[2:3]), steps=STEPS)
    np.testing.assert_allclose(eager, predictions(name)[:, 2:3], rtol=1e-10, atol=1e-12)


@every_algorithm
def test_float32_stays_float32(name):
    """Also where JAX's default is float64: no constant of an algorithm may widen its state."""
    narrow = jax.tree.map(lambda a: a.astype(np.float32), prompt_of(name))
    run = lambda prompt: il.run(MAKE[name][0](), prompt, steps=STEPS)  # noqa: E731
    assert jax.eval_shape(run, narrow).dtype == np.float32
    assert jax.eval_shape(run, prompt_of(name)).dtype == np.float64


@pytest.mark.parametrize("name", [name for name in MAKE if name not in NOT_HOMOGENEOUS])
def test_scaling_the_targets_scales_the_predictions(name):
    scaled = predictions(name, y=-3.0 * prompt_of(name).y)
    np.testing.assert_allclose(scaled, -3.0 * predictions(name), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", sorted(NOT_HOMOGENEOUS))
def test_the_exceptions_do_not_scale(name):
    scaled = predictions(name, y=-3.0 * prompt_of(name).y)
    assert not np.allclose(scaled, -3.0 * predictions(name), rtol=1e-3)
