r"""Principal component regression by power iteration.

    v <- S v / |S v|        S v = (1/n) sum_i <v, x_i> x_i
    b = sum_i <v, x_i> y_i / sum_i <v, x_i>^2              f(x) = b <v, x>

With `y = x` the prediction tends to `v v^T x`, the projection on the first principal component.
Axes: `n` context examples, `d` covariates, `p` targets.
Reference: Golub and Van Loan (2013), Matrix Computations, Section 7.3.1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.learners import Learner
from innerloop.tokens import CONTEXT


class Component(NamedTuple):
    """What power iteration carries."""

    direction: Float[Array, " d"]  # v, of norm 1
    loading: Float[Array, " p"]  # b, the regression of the targets on the scores <v, x>


def power_iteration(start: Float[Array | np.ndarray, " d"]) -> Learner:
    r"""The first principal component, and the regression of the targets on it.

    The covariates are taken as they are: centre them for principal components in the usual sense.

    Args:
        start: The first direction, `(d,)`, of any length; not orthogonal to the component sought.

    Returns:
        The learner; its prediction is `b <v, x>`, zero before the first step.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> x = [[2.0, 0.0], [0.0, 1.0]]
        >>> component = power_iteration(np.array([1.0, 1.0]))
        >>> run(component, Prompt(x, x, [[1.0, 1.0]]), steps=4)[:, 0].round(3).tolist()
        [[0.0, 0.0], [1.231, 0.077], [1.061, 0.017], [1.016, 0.004], [1.004, 0.001]]

    References:
        Golub and Van Loan, Matrix Computations (2013), Section 7.3.1; Hastie, Tibshirani and
        Friedman, The Elements of Statistical Learning (2009), Section 3.5.1.
    """

    def init(x, y):
        direction = jnp.asarray(start, x.dtype)
        return Component(direction / jnp.sqrt(jnp.sum(direction**2)), jnp.zeros_like(y)), ()

    def step(shared, local, x, y):
        image = jax.lax.pmean((shared.direction @ x) * x, CONTEXT)
        direction = image / jnp.sqrt(jnp.sum(image**2))
        score = direction @ x
        covariance, variance = jax.lax.pmean((score * y, score**2), CONTEXT)
        return Component(direction, covariance / variance), local

    def predict(shared, local, x):
        del local
        return (shared.direction @ x) * shared.loading

    return Learner(init, step, predict)
