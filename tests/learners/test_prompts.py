import jax
import jax.numpy as jnp
import numpy as np
import pytest

import innerloop as il


def test_axes():
    prompt = il.Prompt(np.ones((5, 3)), np.ones((5, 2)), np.ones((7, 3)))
    assert (prompt.n, prompt.m, prompt.d, prompt.p) == (5, 7, 3, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_arrays_are_kept_as_they_come(dtype):
    x = np.ones((5, 3), dtype)
    prompt = il.Prompt(x, np.ones((5, 2), dtype), jnp.ones((7, 3), dtype))
    assert prompt.x is x
    assert isinstance(prompt.xq, jax.Array)
    assert prompt.dtype == prompt.x.dtype == prompt.y.dtype == prompt.xq.dtype == dtype


@pytest.mark.parametrize("values", [[[1], [0]], np.array([[1], [0]]), np.array([[True], [False]])])
def test_lists_integers_and_booleans_become_float64(values):
    prompt = il.Prompt(values, values, values)
    assert isinstance(prompt.x, np.ndarray)
    assert prompt.dtype == prompt.x.dtype == np.float64
    assert prompt.x.tolist() == [[1.0], [0.0]]


def test_the_widest_precision_decides():
    narrow, wide = np.ones((5, 3), np.float32), np.ones((5, 2))
    assert il.Prompt(narrow, wide, narrow).dtype == np.float64


def test_a_prompt_is_a_pytree():
    prompt = il.Prompt(np.ones((5, 3)), np.ones((5, 2)), np.ones((7, 3)))
    doubled = jax.jit(lambda prompt: jax.tree.map(lambda a: 2 * a, prompt))(prompt)
    assert isinstance(doubled, il.Prompt)
    assert doubled.m == 7
    np.testing.assert_array_equal(doubled.y, 2 * prompt.y)
