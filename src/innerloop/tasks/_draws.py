r"""Uniform and normal numbers from Threefry, both words of every block used.

    (w_0, w_1) = Threefry-2x32(key, counter),        u = (w >> 9) 2^-23 in [0, 1)

`jax.random` keeps 32 of the 64 bits of a block, so that its numbers do not depend on how an array
is sharded. Tasks draw small arrays by the thousand under `vmap`: with both words they cost a
seventh. Keys of other generators fall back to `jax.random`.
Reference: Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3".
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry_2x32
from jaxtyping import Array, Float, PRNGKeyArray, UInt


def floating() -> np.dtype:
    """The precision that JAX computes in now: float32, or float64 where it is enabled."""
    return jnp.result_type(float)


def uniform(
    key: PRNGKeyArray, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0
) -> Float[Array, "..."]:
    """Numbers uniform on `[low, high)`.

    Example:
        >>> u = uniform(jax.random.key(0), (1000,), -0.5, 0.5)
        >>> bool(abs(u.mean()) < 0.05), bool(u.min() >= -0.5), bool(u.max() < 0.5)
        (True, True, True)
    """
    if jax.random.key_impl(key) != "threefry2x32":
        return jax.random.uniform(key, shape, minval=low, maxval=high)
    unit = _unit_double(key, shape) if floating() == np.float64 else _unit_single(key, shape)
    return unit * (high - low) + low


def normal(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Standard normal numbers, `sqrt(2) erf^-1(u)` with `u` uniform on `(-1, 1)`."""
    above = float(np.nextafter(floating().type(-1.0), floating().type(0.0)))
    return math.sqrt(2.0) * jax.lax.erf_inv(uniform(key, shape, above, 1.0))


def _words(key: PRNGKeyArray, count: int) -> UInt[Array, " count"]:
    """32-bit words, two from every block."""
    even = count + count % 2
    return threefry_2x32(jax.random.key_data(key), jnp.arange(even, dtype=jnp.uint32))[:count]


def _unit_single(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    mantissa = _words(key, math.prod(shape)) >> 9
    one_to_two = jax.lax.bitcast_convert_type(mantissa | jnp.uint32(0x3F800000), jnp.float32)
    return (one_to_two - 1.0).reshape(shape)


def _unit_double(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    high, low = _words(key, 2 * math.prod(shape)).reshape(2, -1).astype(jnp.uint64)
    mantissa = (high << 20) | (low >> 12)
    one_to_two = jax.lax.bitcast_convert_type(mantissa | jnp.uint64(0x3FF << 52), jnp.float64)
    return (one_to_two - 1.0).reshape(shape)
