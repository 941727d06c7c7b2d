"""Precision is what the caller asked for: float64 work runs in float64, wherever it is called from.

JAX computes in float32 unless `jax_enable_x64` is set, and an array that leaves the scope of
`jax.enable_x64` is downcast by the next operation without a word. So float64 work is enclosed
whole, and callers who gave numpy arrays get numpy arrays back.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import PyTree

T = TypeVar("T")


def is_traced(tree: PyTree) -> bool:
    """Whether any leaf is a tracer, that is: whether we are inside `jit`, `vmap` or `grad`."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


def holds_numpy(tree: PyTree) -> bool:
    """Whether every array leaf is a numpy array."""
    return all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(tree))


def in_precision(function: Callable[..., T], dtype: np.dtype | str, *inputs: PyTree) -> T:
    """Calls `function(*inputs)` with JAX computing in `dtype`; numpy inputs give numpy outputs.

    Args:
        function: A function of `inputs` that returns a pytree of arrays.
        dtype: `float32` or `float64`; float64 encloses the call in `jax.enable_x64`.
        *inputs: Pytrees of arrays; when any is traced the function is called as it is.

    Returns:
        What `function` returns; as numpy arrays where all inputs are numpy arrays.
    """
    if is_traced(inputs):
        return function(*inputs)
    with jax.enable_x64(jnp.result_type(float) == np.float64 or np.dtype(dtype) == np.float64):
        out = function(*inputs)
        return jax.tree.map(np.asarray, out) if holds_numpy(inputs) else out
