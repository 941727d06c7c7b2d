r"""Preconditioned gradient descent: a given matrix multiplies every gradient.

    W_{k+1} = W_k - grad L(W_k) A^T        for one target:  w_{k+1} = w_k - A grad L(w_k)

Axes: `n` context examples, `d` covariates, `p` targets.
Reference: Ahn et al. (2023), arXiv:2306.00297, Lemma 1.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.algorithms._least_squares import gradient, initial_weights
from innerloop.learners import Learner


def preconditioned_gradient_descent(
    preconditioner: Float[Array | np.ndarray, "d d"],
    *,
    weights: Float[Array | np.ndarray, "p d"] | None = None,
) -> Learner:
    r"""Gradient descent on `L(W) = 1/(2n) sum_i |W x_i - y_i|^2` with a constant preconditioner.

    Args:
        preconditioner: The step matrix `A`, `(d, d)`, the step size included; `eta I` is gradient
            descent. Ahn et al. find that training arrives at multiples of the inverse covariance.
        weights: Initial weights `W_0`, `(p, d)`; zeros by default.

    Returns:
        The learner; its prediction is `W_k x`.

    Example:
        The inverse of the covariates' second moment solves the problem in one step.

        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[2.0]], [[1.0]], [[2.0]])
        >>> run(preconditioned_gradient_descent(np.array([[0.25]])), prompt, steps=2)[:, 0, 0]
        array([0., 1., 1.])

    References:
        Ahn et al., Transformers Learn to Implement Preconditioned Gradient Descent for In-Context
        Learning (NeurIPS 2023), Lemma 1.
    """

    def init(x, y):
        return initial_weights(weights, x, y), ()

    def step(weights, local, x, y):
        direction = gradient(weights, x, y) @ jnp.asarray(preconditioner, x.dtype).T
        return weights - direction, local

    def predict(weights, local, x):
        del local
        return weights @ x

    return Learner(init, step, predict)
