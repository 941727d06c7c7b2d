"""Precision is the prompt's, wherever the call comes from."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop as il

WEIGHTS = np.array([[0.5, -0.25, 0.125], [0.1, 0.2, 0.3]])
LEARNER = il.learner(lambda w, x: w @ x, WEIGHTS, optimizer=optax.sgd(0.1, momentum=0.9))


def prompt_of(rng, dtype):
    arrays = (rng.normal(size=shape) for shape in [(5, 3), (5, 2), (7, 3)])
    return il.Prompt(*(a.astype(dtype) for a in arrays))


def by_hand(prompt, steps):
    """Momentum on a linear model, from the first line of numpy to the last."""
    w, velocity = WEIGHTS, 0.0
    for _ in range(steps):
        velocity = (prompt.x @ w.T - prompt.y).T @ prompt.x / prompt.n + 0.9 * velocity
        w = w - 0.1 * velocity
    return prompt.xq @ w.T


@pytest.mark.parametrize("flag", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_in_numpy_out_in_the_prompts_own_precision(dtype, flag, rng):
    prompt = prompt_of(rng, dtype)
    with jax.enable_x64(flag):
        found = il.run(LEARNER, prompt, steps=5)
        assert jnp.ones(()).dtype == (np.float64 if flag else np.float32)
    assert isinstance(found, np.ndarray)
    assert found.dtype == dtype
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(found[5], by_hand(prompt, 5), rtol=tolerance, atol=tolerance)


def test_float32_arithmetic_would_be_seen(rng):
    prompt = prompt_of(rng, np.float64)
    narrow = il.Prompt(*(a.astype(np.float32) for a in (prompt.x, prompt.y, prompt.xq)))
    found = il.run(LEARNER, narrow, steps=5)[5]
    assert not np.allclose(found, by_hand(prompt, 5), rtol=1e-9, atol=1e-9)


def test_jax_in_jax_out(rng):
    prompt = prompt_of(rng, np.float64)
    arrays = il.Prompt(*(jnp.asarray(a) for a in (prompt.x, prompt.y, prompt.xq)))
    found = il.run(LEARNER, arrays, steps=5)
    assert isinstance(found, jax.Array)
    np.testing.assert_allclose(found[5], by_hand(prompt, 5), rtol=1e-12)


def test_under_jit_it_is_the_same_function(rng):
    prompt = prompt_of(rng, np.float64)
    jitted = jax.jit(lambda prompt: il.run(LEARNER, prompt, steps=5))
    np.testing.assert_allclose(jitted(prompt), il.run(LEARNER, prompt, steps=5), rtol=1e-12)


def test_a_users_process_needs_no_flag(rng):
    """In a fresh interpreter, as a user has it: float64 data, JAX as it was installed."""
    program = (
        "import numpy as np, optax, jax.numpy as jnp, innerloop as il\n"
        "line = il.learner(lambda w, x: w @ x, np.zeros((1, 1)), optimizer=optax.sgd(0.1))\n"
        "found = il.run(line, il.Prompt([[1.0]], [[1.0]], [[1.0]]), steps=2)\n"
        "print(type(found).__name__, found.dtype, found[2, 0, 0].item(), jnp.ones(()).dtype)\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert out.stdout.split() == ["ndarray", "float64", "0.19", "float32"]
