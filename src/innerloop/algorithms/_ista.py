r"""The Lasso by proximal gradient descent: ISTA.

    W_{k+1} = soft(W_k - eta grad L(W_k), eta lambda)
    soft(w, t) = max(w - t, 0) - max(-w - t, 0)

It minimises `1/(2n) sum_i |W x_i - y_i|^2 + lambda |W|_1`.
Axes: `n` context examples, `d` covariates, `p` targets.
Reference: Beck and Teboulle (2009), equation 1.4; Bai et al. (2023), arXiv:2306.04637, Theorem 10.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.algorithms._least_squares import gradient, initial_weights
from innerloop.learners import Learner


def soft_threshold(w: Float[Array, "p d"], threshold: float) -> Float[Array, "p d"]:
    """Shrinks every entry towards zero by `threshold`: the proximal map of the 1-norm.

    Example:
        >>> soft_threshold(jnp.array([[-3.0, 0.5, 2.0]]), 1.0).tolist()
        [[-2.0, 0.0, 1.0]]
    """
    return jnp.maximum(w - threshold, 0.0) - jnp.maximum(-w - threshold, 0.0)


def ista(
    penalty: float,
    learning_rate: float,
    *,
    weights: Float[Array | np.ndarray, "p d"] | None = None,
) -> Learner:
    r"""The Lasso by iterative shrinkage and thresholding.

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
        >>> run(ista(0.25, 0.5), prompt, steps=3)[:, 0, 0].tolist()
        [0.0, 0.375, 0.5625, 0.65625]

    References:
        Beck and Teboulle, A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse
        Problems (2009), equation 1.4.
    """

    def init(x, y):
        return initial_weights(weights, x, y), ()

    def step(weights, local, x, y):
        moved = weights - learning_rate * gradient(weights, x, y)
        return soft_threshold(moved, learning_rate * penalty), local

    def predict(weights, local, x):
        del local
        return weights @ x

    return Learner(init, step, predict)
