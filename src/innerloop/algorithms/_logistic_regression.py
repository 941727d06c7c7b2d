r"""Logistic regression by Newton's method, that is: iteratively reweighted least squares.

    s_i = sigmoid(<w, x_i>)        g = (1/n) sum_i (s_i - y_i) x_i + lambda w
    w <- w - H^{-1} g              H = (1/n) sum_i s_i (1 - s_i) x_i x_i^T + lambda I

The inverse is Newton and Schulz's, to a tolerance: `H` lies between `lambda` and `lambda` plus a
quarter of the largest eigenvalue of `(1/n) sum_i x_i x_i^T`, whatever `w` is.
Axes: `n` context examples, `d` covariates.
Reference: Hastie, Tibshirani and Friedman (2009), equation 4.26; Bai et al. (2023), Theorem 7.
"""

import jax
import jax.numpy as jnp

from innerloop.algorithms._inverse import inverse, iterations_needed
from innerloop.learners import Learner
from innerloop.tokens import CONTEXT


def logistic_regression(penalty: float, *, bound: float, tolerance: float = 1e-8) -> Learner:
    r"""Penalised logistic regression of one target in `{0, 1}`, one Newton step a step, from zero.

    It minimises `(1/n) sum_i (log(1 + e^<w, x_i>) - y_i <w, x_i>) + lambda/2 |w|^2`.

    Args:
        penalty: The weight `lambda > 0` of the squared norm; scikit-learn's `C` is `1/(n lambda)`.
        bound: An upper bound on the largest eigenvalue of `(1/n) sum_i x_i x_i^T`; `d max|x|^2`
            always is one.
        tolerance: The relative error allowed in the inverse of the Hessian.

    Returns:
        The learner; its prediction is the probability of 1, `sigmoid(<w_k, x>)`.

    Raises:
        ValueError: If the penalty or the bound is not positive, or the tolerance not in `(0, 1)`;
            and, once it meets a prompt, if there is more than one target.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[1.0]], [[1.0]], [[1.0]])
        >>> run(logistic_regression(0.25, bound=1.0), prompt, steps=1)[:, 0, 0].round(6).tolist()
        [0.5, 0.731059]

    References:
        Hastie, Tibshirani and Friedman, The Elements of Statistical Learning (2009), equation 4.26;
        Bai et al., Transformers as Statisticians (NeurIPS 2023), Theorem 7.
    """
    spectrum = (penalty, penalty + bound / 4)
    iterations_needed(*spectrum, tolerance)

    def init(x, y):
        if y.shape != (1,):
            raise ValueError(
                f"logistic_regression takes one target in {{0, 1}}; this prompt has {y.shape[0]}. "
                "Give each target a prompt of its own."
            )
        return jnp.zeros_like(x), ()

    def step(weights, local, x, y):
        probability = jax.nn.sigmoid(weights @ x)
        slope = jax.lax.pmean((probability - y[0]) * x, CONTEXT) + penalty * weights
        spread = probability * (1 - probability)
        hessian = jax.lax.pmean(spread * jnp.outer(x, x), CONTEXT)
        hessian = hessian + penalty * jnp.eye(x.shape[0], dtype=x.dtype)
        return weights - inverse(hessian, *spectrum, tolerance) @ slope, local

    def predict(weights, local, x):
        del local
        return jax.nn.sigmoid(weights @ x)[None]

    return Learner(init, step, predict)
