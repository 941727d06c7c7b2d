r"""The least-squares problem of one prompt, as its tokens see it.

    L(W) = 1/(2n) sum_i |W x_i - y_i|^2        grad L(W) = (1/n) sum_i (W x_i - y_i) x_i^T

Axes: `n` context examples, `d` covariates, `p` targets.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.tokens import CONTEXT


def initial_weights(
    weights: Float[Array | np.ndarray, "p d"] | None, x: Float[Array, " d"], y: Float[Array, " p"]
) -> Float[Array, "p d"]:
    """The given initial weights in the data's precision, or zeros.

    Raises:
        ValueError: If the weights do not map `d` covariates to `p` targets.
    """
    shape = (y.shape[0], x.shape[0])
    if weights is None:
        return jnp.zeros(shape, x.dtype)
    if np.shape(weights) != shape:
        raise ValueError(
            f"weights must be (p, d) = {shape} for {x.shape[0]} covariates and {y.shape[0]} "
            f"targets; got {np.shape(weights)}."
        )
    return jnp.asarray(weights, x.dtype)


def gradient(
    weights: Float[Array, "p d"], x: Float[Array, " d"], y: Float[Array, " p"]
) -> Float[Array, "p d"]:
    """The gradient of `L` at `weights`: one reduction over the context."""
    return jax.lax.pmean(jnp.outer(weights @ x - y, x), CONTEXT)


def gram(x: Float[Array, " d"]) -> Float[Array, "d d"]:
    """The second moment of the covariates, `(1/n) sum_i x_i x_i^T`."""
    return jax.lax.pmean(jnp.outer(x, x), CONTEXT)


def moment(x: Float[Array, " d"], y: Float[Array, " p"]) -> Float[Array, "p d"]:
    """The cross moment of targets and covariates, `(1/n) sum_i y_i x_i^T`."""
    return jax.lax.pmean(jnp.outer(y, x), CONTEXT)
