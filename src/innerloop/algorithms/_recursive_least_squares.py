r"""Recursive least squares: one example a step, the inverse by Sherman and Morrison.

    u = P x_k        g = u / (1 + <x_k, u>)        W <- W + (y_k - W x_k) g^T        P <- P - g u^T

`P_0 = I / lambda`, and `P_k` is the inverse of `lambda I + sum_{i<=k} x_i x_i^T`.
A context is a set, so an order must be in the data: the last covariate of an example is its
position 1, 2, ..., n, as in a transformer with positional encodings. The example whose turn it is
passes the hat function `max(0, 1 - |position - k|)`, which is 1 for it and 0 for all others.
Axes: `n` context examples, `d` covariates (the position not counted), `p` targets.
Reference: Akyurek et al. (2023), arXiv:2211.15661, Theorem 2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from innerloop.learners import Learner
from innerloop.tokens import CONTEXT


class Recursion(NamedTuple):
    """What recursive least squares carries."""

    weights: Float[Array, "p d"]
    inverse: Float[Array, "d d"]
    turn: Float[Array, ""]  # the position of the example to be read next


def recursive_least_squares(penalty: float) -> Learner:
    r"""Ridge regression on the first `k` examples after `k` steps, without ever inverting a matrix.

    Prompts have their position in the last column of `x`; a query's position is not read.

    Args:
        penalty: The weight `lambda > 0` of the squared norm beside the sum of squared errors:
            scikit-learn's `alpha`, not divided by `n`.

    Returns:
        The learner; its prediction is `W_k x`, and after `n` steps nothing changes any more.

    Raises:
        ValueError: If the penalty is not positive.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[1.0, 2.0], [1.0, 1.0]], [[6.0], [2.0]], [[1.0, 0.0]])
        >>> run(recursive_least_squares(1.0), prompt, steps=3)[:, 0, 0].round(6).tolist()
        [0.0, 1.0, 2.666667, 2.666667]

    References:
        Akyurek et al., What Learning Algorithm Is In-Context Learning? (ICLR 2023), Theorem 2;
        Sherman and Morrison (1950).
    """
    if not penalty > 0:
        raise ValueError(f"recursive least squares needs a positive penalty; got {penalty}.")

    def init(x, y):
        size = x.shape[0] - 1
        return Recursion(
            weights=jnp.zeros((y.shape[0], size), x.dtype),
            inverse=jnp.eye(size, dtype=x.dtype) / penalty,
            turn=jnp.ones((), x.dtype),
        ), ()

    def step(shared, local, x, y):
        is_turn = jnp.maximum(0.0, 1.0 - jnp.abs(x[-1] - shared.turn))
        covariates, target = jax.lax.psum((is_turn * x[:-1], is_turn * y), CONTEXT)
        image = shared.inverse @ covariates
        gain = image / (1.0 + covariates @ image)
        return Recursion(
            weights=shared.weights + jnp.outer(target - shared.weights @ covariates, gain),
            inverse=shared.inverse - jnp.outer(gain, image),
            turn=shared.turn + 1.0,
        ), local

    def predict(shared, local, x):
        del local
        return shared.weights @ x[:-1]

    return Learner(init, step, predict)
