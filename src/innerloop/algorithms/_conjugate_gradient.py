r"""Conjugate gradients on the normal equations, one iteration a step, each target by itself.

    Q = (1/n) sum_i (P x_i) x_i^T        a = |R|^2 / <P, Q>        W <- W + a P        R <- R - a Q
    b = |R_new|^2 / |R|^2                P <- R_new + b P

`R` is the negative gradient, `P` the search direction; norms and products are row by row.
After `k` steps `W` is the best point of the `k`-th Krylov space, and after `d` the solution.
Axes: `n` context examples, `d` covariates, `p` targets.
Reference: Hestenes and Stiefel (1952); Saad (2003), Algorithm 8.4.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.algorithms._least_squares import gradient, initial_weights
from innerloop.learners import Learner
from innerloop.tokens import CONTEXT


class Conjugate(NamedTuple):
    """What conjugate gradients carry."""

    weights: Float[Array, "p d"]
    residual: Float[Array, "p d"]  # minus the gradient at the weights
    direction: Float[Array, "p d"]
    squared_norm: Float[Array, " p"]  # of the residual, row by row


def conjugate_gradient(*, weights: Float[Array | np.ndarray, "p d"] | None = None) -> Learner:
    r"""Conjugate gradients on `L(W) = 1/(2n) sum_i |W x_i - y_i|^2`, with exact line searches.

    A target whose residual is exactly zero rests.

    Args:
        weights: Initial weights `W_0`, `(p, d)`; zeros by default.

    Returns:
        The learner; its prediction is `W_k x`.

    Example:
        Two covariates need two steps.

        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[1.0, 0.0], [0.0, 2.0]], [[1.0], [2.0]], [[1.0, 1.0]])
        >>> run(conjugate_gradient(), prompt, steps=2)[:, 0, 0].round(6).tolist()
        [0.0, 1.307692, 2.0]

    References:
        Hestenes and Stiefel, Methods of Conjugate Gradients for Solving Linear Systems (1952);
        Saad, Iterative Methods for Sparse Linear Systems (2003), Algorithm 8.4.
    """

    def init(x, y):
        start = initial_weights(weights, x, y)
        residual = -gradient(start, x, y)
        return Conjugate(start, residual, residual, jnp.sum(residual**2, axis=1)), ()

    def step(shared, local, x, y):
        del y
        image = jax.lax.pmean(jnp.outer(shared.direction @ x, x), CONTEXT)
        length = _ratio(shared.squared_norm, jnp.sum(shared.direction * image, axis=1))
        residual = shared.residual - length[:, None] * image
        squared_norm = jnp.sum(residual**2, axis=1)
        turn = _ratio(squared_norm, shared.squared_norm)
        return Conjugate(
            weights=shared.weights + length[:, None] * shared.direction,
            residual=residual,
            direction=residual + turn[:, None] * shared.direction,
            squared_norm=squared_norm,
        ), local

    def predict(shared, local, x):
        del local
        return shared.weights @ x

    return Learner(init, step, predict)


def _ratio(numerator: Float[Array, " p"], denominator: Float[Array, " p"]) -> Float[Array, " p"]:
    """The quotient of non-negative numbers, and zero where the denominator is zero."""
    positive = denominator > 0
    return jnp.where(positive, numerator / jnp.where(positive, denominator, 1.0), 0.0)
