r"""GD++: gradient descent whose steps also transform the inputs, and so their spectrum.

    f <- f + (eta / n) sum_j (y_j - f_j) <z_j, z>        z <- z - (gamma / n) sum_j z_j <z_j, z>

Both updates read the features `z` of before the step; `z_0 = x` and `f_0 = W_0 x`. Each token
carries its own features and prediction, so a step is two heads of one layer and no weights exist.
Departs from von Oswald et al., A.10: gamma multiplies a mean over the context, not a sum.
Axes: `n` context examples, `d` covariates, `p` targets.
Reference: von Oswald et al. (2023), arXiv:2212.07677, Appendix A.10.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float

from innerloop.algorithms._least_squares import initial_weights
from innerloop.collectives import attend
from innerloop.learners import Learner


class Transformed(NamedTuple):
    """What a token carries under GD++."""

    features: Float[Array, " d"]
    prediction: Float[Array, " p"]


def gd_plus_plus(
    learning_rate: float | Float[Array, ""],
    curvature: float | Float[Array, ""],
    *,
    weights: Float[Array | np.ndarray, "p d"] | None = None,
) -> Learner:
    r"""Gradient descent with a transformation of the inputs, `z <- (I - gamma S(z)) z`, every step.

    An eigenvalue `s` of the features' second moment `S(z) = (1/n) sum_j z_j z_j^T` becomes
    `s (1 - gamma s)^2`: large ones shrink towards the small ones, and the problem grows easier.

    Args:
        learning_rate: The step size `eta`.
        curvature: The rate `gamma` of the transformation; 0 is gradient descent.
        weights: Initial weights `W_0`, `(p, d)`; zeros by default.

    Returns:
        The learner; its prediction is the `f` of the query.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[2.0]], [[1.0]], [[2.0]])
        >>> run(gd_plus_plus(0.125, 0.125), prompt, steps=3)[:, 0, 0].tolist()
        [0.0, 0.5, 0.5625, 0.6043701171875]

    References:
        von Oswald et al., Transformers Learn In-Context by Gradient Descent (ICML 2023),
        Appendix A.10; Ahn et al. (2023), arXiv:2306.00297, Theorem 4.
    """

    def init(x, y):
        return (), Transformed(features=x, prediction=initial_weights(weights, x, y) @ x)

    def step(shared, local, x, y):
        del x
        z, prediction = local
        move = attend(z, z, y - prediction, mean=True)
        shrink = attend(z, z, z, mean=True)
        return shared, Transformed(z - curvature * shrink, prediction + learning_rate * move)

    def predict(shared, local, x):
        del shared, x
        return local.prediction

    return Learner(init, step, predict)
