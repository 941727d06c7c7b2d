r"""Gradient descent on the context's squared error.

    W_{k+1} = W_k - (eta / n) sum_i (W_k x_i - y_i) x_i^T

Axes: `n` context examples, `d` covariates, `p` targets.
Reference: von Oswald et al. (2023), arXiv:2212.07677, Proposition 1.
"""

import numpy as np
from jaxtyping import Array, Float

from innerloop.algorithms._least_squares import gradient, initial_weights
from innerloop.learners import Learner


def gradient_descent(
    learning_rate: float | Float[Array, ""],
    *,
    weights: Float[Array | np.ndarray, "p d"] | None = None,
) -> Learner:
    r"""Full-batch gradient descent on `L(W) = 1/(2n) sum_i |W x_i - y_i|^2`.

    Args:
        learning_rate: The step size `eta`; stable below 2 over the largest eigenvalue of
            `(1/n) sum_i x_i x_i^T`.
        weights: Initial weights `W_0`, `(p, d)`; zeros by default.

    Returns:
        The learner; its prediction is `W_k x`.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[2.0]], [[1.0]], [[2.0]])
        >>> run(gradient_descent(0.125), prompt, steps=3)[:, 0, 0].tolist()
        [0.0, 0.5, 0.75, 0.875]

    References:
        von Oswald et al., Transformers Learn In-Context by Gradient Descent (ICML 2023),
        Proposition 1.
    """

    def init(x, y):
        return initial_weights(weights, x, y), ()

    def step(weights, local, x, y):
        return weights - learning_rate * gradient(weights, x, y), local

    def predict(weights, local, x):
        del local
        return weights @ x

    return Learner(init, step, predict)
