r"""Gradient descent with momentum: the heavy ball.

    D_{k+1} = beta D_k - eta grad L(W_k)        W_{k+1} = W_k + D_{k+1}

Axes: `n` context examples, `d` covariates, `p` targets.
Reference: Polyak (1964), Some methods of speeding up the convergence of iteration methods.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.algorithms._least_squares import gradient, initial_weights
from innerloop.learners import Learner


class HeavyBall(NamedTuple):
    """What the heavy ball carries: where it is, and how it moves."""

    weights: Float[Array, "p d"]
    displacement: Float[Array, "p d"]  # the last step taken, W_k - W_{k-1}


def heavy_ball(
    learning_rate: float,
    momentum: float,
    *,
    weights: Float[Array | np.ndarray, "p d"] | None = None,
) -> Learner:
    r"""Polyak's heavy ball on `L(W) = 1/(2n) sum_i |W x_i - y_i|^2`.

    Args:
        learning_rate: The step size `eta`.
        momentum: The part `beta` of the last step that is taken again, in `[0, 1)`. On a spectrum
            in `[a, b]` the best pair is `eta = (2 / (sqrt b + sqrt a))^2`,
            `beta = ((sqrt b - sqrt a) / (sqrt b + sqrt a))^2`.
        weights: Initial weights `W_0`, `(p, d)`; zeros by default.

    Returns:
        The learner; its prediction is `W_k x`.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[2.0]], [[1.0]], [[2.0]])
        >>> run(heavy_ball(0.125, 0.5), prompt, steps=3)[:, 0, 0].tolist()
        [0.0, 0.5, 1.0, 1.25]

    References:
        Polyak, Some Methods of Speeding up the Convergence of Iteration Methods (1964).
    """

    def init(x, y):
        start = initial_weights(weights, x, y)
        return HeavyBall(start, jnp.zeros_like(start)), ()

    def step(shared, local, x, y):
        slope = gradient(shared.weights, x, y)
        displacement = momentum * shared.displacement - learning_rate * slope
        return HeavyBall(shared.weights + displacement, displacement), local

    def predict(shared, local, x):
        del local
        return shared.weights @ x

    return Learner(init, step, predict)
