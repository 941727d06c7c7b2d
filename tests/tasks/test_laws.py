"""What every task obeys: shapes, keys, batches, and that its best predictor cannot be improved."""

import functools
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop import tasks
from tests.tasks.registry import NO_BAYES, TASKS

ALL = TASKS | NO_BAYES
PROMPTS = 4000

VARIANTS = ("linear_mixed", "linear_few_examples", "gp_linear", "gp_rbf", "gp_cosine", "gp_comb")


def _named(names):
    """One of each family; further variants of a family are slow."""
    marks = {name: [pytest.mark.slow] if name in VARIANTS else [] for name in names}
    return pytest.mark.parametrize("name", [pytest.param(k, marks=v) for k, v in marks.items()])


everyone, where_known = _named(ALL), _named(TASKS)


def _keys(name):
    return jax.random.split(jax.random.key(zlib.crc32(name.encode())), PROMPTS)


@functools.cache
def _sampler(name):
    """Samples a batch of prompts, compiled once."""
    return jax.jit(jax.vmap(lambda key: ALL[name].sample(key=key)))


@functools.cache
def _batch(name):
    """Many prompts of a task."""
    return _sampler(name)(_keys(name))


@functools.cache
def _best(name):
    """The best predictions for them."""
    return np.asarray(jax.jit(jax.vmap(ALL[name].bayes))(_batch(name).prompt))


def test_every_family_is_tested():
    assert {type(task) for task in ALL.values()} == set(tasks.TASKS.values())


@everyone
def test_shapes_and_precision(name):
    task = ALL[name]
    x, y, xq, yq = jax.tree.leaves(_batch(name))
    assert x.shape == (PROMPTS, task.n, task.d) and y.shape == (PROMPTS, task.n, task.p)
    assert xq.shape == (PROMPTS, task.m, task.d) and yq.shape == (PROMPTS, task.m, task.p)
    assert {a.dtype for a in (x, y, xq, yq)} == {np.dtype("float64")}
    assert all(bool(jnp.isfinite(a).all()) for a in (x, y, xq, yq))


@everyone
def test_a_key_decides_the_prompt_wherever_it_stands_in_the_batch(name):
    backwards = _sampler(name)(_keys(name)[::-1])
    for a, b in zip(jax.tree.leaves(backwards), jax.tree.leaves(_batch(name)), strict=True):
        np.testing.assert_array_equal(a[::-1], b)


@everyone
def test_keys_give_different_prompts(name):
    x = np.asarray(_batch(name).prompt.x).reshape(PROMPTS, -1)
    assert len(np.unique(x, axis=0)) == (3 if name == "prompt_pool" else PROMPTS)


@everyone
def test_tasks_are_values(name):
    assert len({ALL[name], ALL[name]}) == 1
    assert ALL[name] != tasks.LinearRegression(n=1, d=1)


def _correlation(name, predicted, function):
    """The mean of `(yq - predicted) function` over prompts, and its standard error."""
    each = ((np.asarray(_batch(name).yq) - predicted) * function).mean((1, 2))
    return abs(each.mean()), each.std() / np.sqrt(PROMPTS)


@where_known
def test_the_error_of_the_best_predictor_is_orthogonal_to_functions_of_the_prompt(name):
    """`E[(yq - bayes) g(prompt)] = 0` for every `g`, which no other predictor satisfies."""
    best, (x, y, xq, yq) = _best(name), map(np.asarray, jax.tree.leaves(_batch(name)))
    correlated = np.einsum("bnp,bnd,bmd->bmp", y, x, xq)
    for function in (best, correlated, np.tanh(correlated), best**3):
        mean, error = _correlation(name, best, function)
        assert mean < 4.5 * error + 1e-7 * np.abs(function).mean() * np.abs(yq).mean()


@where_known
def test_a_predictor_that_is_not_the_best_is_found_out(name):
    mean, error = _correlation(name, 0.9 * _best(name), _best(name))
    assert mean > 4.5 * error


@pytest.mark.parametrize("name", sorted(set(NO_BAYES) - {"unit_context"}))
def test_where_no_best_predictor_is_known_it_is_said(name):
    with pytest.raises(NotImplementedError, match="no closed form"):
        ALL[name].bayes(jax.tree.map(lambda a: a[0], _batch(name).prompt))
