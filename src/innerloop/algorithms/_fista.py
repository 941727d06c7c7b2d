r"""The Lasso by accelerated proximal gradient descent: FISTA.

    W_k = soft(V_k - eta grad L(V_k), eta lambda)        t_{k+1} = (1 + sqrt(1 + 4 t_k^2)) / 2
    V_{k+1} = W_k + (t_k - 1) / t_{k+1} (W_k - W_{k-1})        V_1 = W_0, t_1 = 1

It minimises `1/(2n) sum_i |W x_i - y_i|^2 + lambda |W|_1`.
Axes: `n` context examples, `d` covariates, `p` targets.
Reference: Beck and Teboulle (2009), equations 4.1 to 4.3.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.algorithms._ista import soft_threshold
from innerloop.algorithms._least_squares import gradient, initial_weights
from innerloop.learners import Learner


class Accelerated(NamedTuple):
    """What FISTA carries; the last depends on the step's number only."""

    weights: Float[Array, "p d"]
    lookahead: Float[Array, "p d"]  # V_k, where the gradient is taken
    inertia: Float[Array, ""]  # t_k


def fista(
    penalty: float,
    learning_rate: float,
    *,
    weights: Float[Array | np.ndarray, "p d"] | None = None,
) -> Learner:
    r"""The Lasso by fast iterative shrinkage and thresholding; its first step is ISTA's.

    Args:
        penalty: The weight `lambda` of the 1-norm, scikit-learn's `alpha`.
        learning_rate: The step size `eta`, at most 1 over the largest eigenvalue of
            `(1/n) sum_i x_i x_i^T`.
        weights: Initial weights `W_0`, `(p, d)`; zeros by default.

    Returns:
        The learner; its prediction is `W_k x`.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[1.0]], [[1.0]], [[1.0]])
        >>> run(fista(0.25, 0.5), prompt, steps=3)[:, 0, 0].round(4).tolist()
        [0.0, 0.375, 0.5625, 0.6827]

    References:
        Beck and Teboulle, A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse
        Problems (2009), equations 4.1 to 4.3.
    """

    def init(x, y):
        start = initial_weights(weights, x, y)
        return Accelerated(start, start, jnp.ones((), x.dtype)), ()

    def step(shared, local, x, y):
        moved = shared.lookahead - learning_rate * gradient(shared.lookahead, x, y)
        weights = soft_threshold(moved, learning_rate * penalty)
        inertia = (1 + jnp.sqrt(1 + 4 * shared.inertia**2)) / 2
        momentum = (shared.inertia - 1) / inertia
        return Accelerated(
            weights=weights,
            lookahead=weights + momentum * (weights - shared.weights),
            inertia=inertia,
        ), local

    def predict(shared, local, x):
        del local
        return shared.weights @ x

    return Learner(init, step, predict)
