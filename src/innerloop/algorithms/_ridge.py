r"""Ridge regression, its inverse by Newton and Schulz to a tolerance.

    W = C (S + lambda I)^{-1}        the minimiser of  1/(2n) sum_i |W x_i - y_i|^2 + lambda/2 |W|^2

`S = (1/n) sum_i x_i x_i^T`, `C = (1/n) sum_i y_i x_i^T`. One step is the whole solution.
Axes: `n` context examples, `d` covariates, `p` targets.
Reference: Bai et al. (2023), arXiv:2306.04637, Theorem 4.
"""

import jax.numpy as jnp

from innerloop.algorithms._inverse import inverse, iterations_needed
from innerloop.algorithms._least_squares import gram, initial_weights, moment
from innerloop.learners import Learner


def ridge(penalty: float, *, bound: float, tolerance: float = 1e-8) -> Learner:
    r"""Ridge regression in one step, an inner loop of matrix products.

    Args:
        penalty: The weight `lambda > 0` of the squared norm; scikit-learn's `alpha` is `n lambda`.
        bound: An upper bound on the largest eigenvalue of `S`; `d max|x|^2` always is one. It
            decides, with the tolerance, how many inner iterations there are.
        tolerance: The relative error allowed in the inverse.

    Returns:
        The learner; its prediction is `W x`, zero before the first step.

    Raises:
        ValueError: If the penalty or the bound is not positive, or the tolerance not in `(0, 1)`.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[1.0]], [[1.0]], [[1.0]])
        >>> run(ridge(0.25, bound=2.0), prompt, steps=1)[:, 0, 0].round(6).tolist()
        [0.0, 0.8]

    References:
        Bai et al., Transformers as Statisticians (NeurIPS 2023), Theorem 4.
    """
    spectrum = (penalty, penalty + bound)
    iterations_needed(*spectrum, tolerance)

    def init(x, y):
        return initial_weights(None, x, y), ()

    def step(weights, local, x, y):
        del weights
        penalised = gram(x) + penalty * jnp.eye(x.shape[0], dtype=x.dtype)
        return moment(x, y) @ inverse(penalised, *spectrum, tolerance), local

    def predict(weights, local, x):
        del local
        return weights @ x

    return Learner(init, step, predict)
