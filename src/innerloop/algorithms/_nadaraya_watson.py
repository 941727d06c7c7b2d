r"""The Nadaraya-Watson estimator: targets averaged with Gaussian weights.

    f(x) = sum_j y_j k(x_j, x) / sum_j k(x_j, x)        k(a, b) = exp(-|a - b|^2 / (2 s^2))

The factor `exp(-|x|^2 / (2 s^2))` cancels, which leaves one softmax head whose keys also know their
own squared norm: logits `<x_j, x> / s^2 - |x_j|^2 / (2 s^2)`, and no division anywhere.
Axes: `n` context examples, `d` covariates, `p` targets.
Reference: Nadaraya (1964); Watson (1964); Hastie, Tibshirani and Friedman (2009), equation 6.2.
"""

import jax.numpy as jnp

from innerloop.collectives import attend
from innerloop.learners import Learner


def nadaraya_watson(bandwidth: float) -> Learner:
    r"""Kernel regression of degree zero, in one step; further steps change nothing.

    Args:
        bandwidth: The length scale `s > 0`; towards zero it is the nearest neighbour.

    Returns:
        The learner; its prediction is `f(x)`, zero before the first step.

    Raises:
        ValueError: If the bandwidth is not positive.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[-1.0], [1.0]], [[0.0], [8.0]], [[0.0], [100.0]])
        >>> run(nadaraya_watson(0.5), prompt, steps=1)[1, :, 0].tolist()
        [4.0, 8.0]

    References:
        Nadaraya, On Estimating Regression (1964); Watson, Smooth Regression Analysis (1964);
        Hastie, Tibshirani and Friedman, The Elements of Statistical Learning (2009), equation 6.2.
    """
    if not bandwidth > 0:
        raise ValueError(f"the bandwidth must be positive; got {bandwidth}.")
    precision = 1 / bandwidth**2

    def init(x, y):
        del x
        return (), jnp.zeros_like(y)

    def step(shared, prediction, x, y):
        del prediction
        query = jnp.concatenate([x, jnp.ones(1, x.dtype)])
        norm = jnp.sum(x**2)[None]
        key = jnp.concatenate([precision * x, -0.5 * precision * norm])
        return shared, attend(query, key, y, kernel="softmax")

    def predict(shared, prediction, x):
        del shared, x
        return prediction

    return Learner(init, step, predict)
