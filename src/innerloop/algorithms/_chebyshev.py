r"""Chebyshev iteration: the best step sizes for a spectrum known to lie in `[a, b]`.

    theta = (b + a) / 2    delta = (b - a) / 2    rho_0 = delta / theta
    D_0 = -grad L(W_0) / theta                       rho_k = 1 / (2 theta / delta - rho_{k-1})
    D_k = rho_k rho_{k-1} D_{k-1} - (2 rho_k / delta) grad L(W_k)        W_{k+1} = W_k + D_k

The error after `k` steps is `T_k((theta - S) / delta) / T_k(theta / delta)` times the first one,
`T_k` the Chebyshev polynomial and `S = (1/n) sum_i x_i x_i^T`.
Axes: `n` context examples, `d` covariates, `p` targets.
Reference: Saad (2003), Iterative Methods for Sparse Linear Systems, Algorithm 12.1.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.algorithms._least_squares import gradient, initial_weights
from innerloop.learners import Learner


class Chebyshev(NamedTuple):
    """What the iteration carries; the last three depend on the step's number only."""

    weights: Float[Array, "p d"]
    displacement: Float[Array, "p d"]  # the last step taken, D_{k-1}
    momentum: Float[Array, ""]  # rho_k rho_{k-1}, of the step to come
    learning_rate: Float[Array, ""]  # 2 rho_k / delta, of the step to come
    ratio: Float[Array, ""]  # rho_k


def chebyshev(
    smallest: float,
    largest: float,
    *,
    weights: Float[Array | np.ndarray, "p d"] | None = None,
) -> Learner:
    r"""Chebyshev semi-iteration on `L(W) = 1/(2n) sum_i |W x_i - y_i|^2`.

    Args:
        smallest: A lower bound `a > 0` on the eigenvalues of `(1/n) sum_i x_i x_i^T`.
        largest: An upper bound `b > a` on them.
        weights: Initial weights `W_0`, `(p, d)`; zeros by default.

    Returns:
        The learner; its prediction is `W_k x`.

    Raises:
        ValueError: If the bounds are not `0 < smallest < largest`.

    Example:
        On a spectrum in [1, 3] two steps leave 1 / T_2(2) = 1/7 of the error at either end.

        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[1.0]], [[1.0]], [[1.0]])
        >>> run(chebyshev(1.0, 3.0), prompt, steps=2)[:, 0, 0].round(6).tolist()
        [0.0, 0.5, 0.857143]

    References:
        Golub and Varga, Chebyshev semi-iterative methods (1961); Saad, Iterative Methods for Sparse
        Linear Systems (2003), Algorithm 12.1.
    """
    if not 0 < smallest < largest:
        raise ValueError(
            f"chebyshev needs bounds 0 < smallest < largest; got {smallest} and {largest}."
        )
    centre, radius = (largest + smallest) / 2, (largest - smallest) / 2

    def init(x, y):
        start = initial_weights(weights, x, y)
        coefficients = (0.0, 1 / centre, radius / centre)
        return Chebyshev(
            start, jnp.zeros_like(start), *(jnp.asarray(c, x.dtype) for c in coefficients)
        ), ()

    def step(shared, local, x, y):
        slope = gradient(shared.weights, x, y)
        displacement = shared.momentum * shared.displacement - shared.learning_rate * slope
        ratio = 1 / (2 * centre / radius - shared.ratio)
        return Chebyshev(
            weights=shared.weights + displacement,
            displacement=displacement,
            momentum=ratio * shared.ratio,
            learning_rate=2 * ratio / radius,
            ratio=ratio,
        ), local

    def predict(shared, local, x):
        del local
        return shared.weights @ x

    return Learner(init, step, predict)
