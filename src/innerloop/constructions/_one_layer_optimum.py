r"""What training one layer of linear attention arrives at, in closed form.

    A = Gamma^{-1},    Gamma = (1 + 1/n) Lambda + (tr Lambda / n) I        x ~ N(0, Lambda)

is the step matrix of the global minimum (Ahn et al., Theorem 1) and of the limit of gradient flow
(Zhang, Frei and Bartlett, Theorem 4.1) for tasks `w ~ N(0, I)`, `y = <w, x>`; the two papers agree.

Proof. With `S = (1/n) sum_i x_i x_i^T` the expected error of the prediction `<A^T S w, x_q>` is
`tr Lambda - 2 tr(Lambda A Lambda) + tr(Lambda A E[S^2] A^T)`, and for Gaussian covariates
`E[S^2] = Gamma Lambda`. The minimum over `A` is where `A Gamma Lambda = Lambda`; its value is
`tr Lambda - tr(Lambda^2 Gamma^{-1}) = sum_i lambda_i (1 - lambda_i / gamma_i)`.
Label noise of variance `s^2` adds `(s^2 / n) tr(Lambda A Lambda A^T)`, as if `E[S^2]` were
`(Gamma + (s^2/n) I) Lambda`: for `Lambda = I`, `A = n / (n + d + 1 + s^2) I` (Mahankali et al., who
sum over the context where we average).

References: Ahn et al. (2023), arXiv:2306.00297, Theorems 1 and 5; Zhang, Frei and Bartlett (2023),
arXiv:2306.09927, Theorems 4.1 and 4.2; Mahankali, Hashimoto and Ma (2023), arXiv:2307.03576.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Optimum(NamedTuple):
    """The best single layer: its step matrix, and the expected squared error that is left."""

    preconditioner: Float[np.ndarray, "d d"]
    loss: float


class Limit(NamedTuple):
    """The end of gradient flow: `W_KQ` over the covariates, and the target's entry of `W_PV`."""

    key_query: Float[np.ndarray, "d d"]
    value: float


def linear_optimum(covariance: Float[np.ndarray, "d d"], n: int, *, noise: float = 0.0) -> Optimum:
    """The best layer of linear attention for `w ~ N(0, I)` and labels with noise.

    Args:
        covariance: `Lambda`, the covariance of the covariates.
        n: How many context examples the layer is trained for.
        noise: The variance `s^2` of the labels' noise.

    Returns:
        `A` and its loss, against labels without noise.

    Example:
        >>> linear_optimum(np.eye(5), 20).preconditioner[0, 0].round(4), 20 / (20 + 5 + 1)
        (np.float64(0.7692), 0.7692307692307693)
    """
    identity = np.eye(len(covariance))
    gamma = _gamma(covariance, n) + noise / n * identity
    best = np.linalg.inv(gamma)
    return Optimum(best, float(np.trace(covariance) - np.trace(covariance @ covariance @ best)))


def gradient_flow_limit(covariance: Float[np.ndarray, "d d"], n: int) -> Limit:
    """Where gradient flow on both matrices ends, from small balanced initial weights.

    The product is the optimum of Ahn et al.; how it is shared out follows from the flow, which
    keeps `value^2 - |key_query|^2` constant.
    """
    best = np.linalg.inv(_gamma(covariance, n))
    size = np.linalg.norm(best) ** 0.5
    return Limit(best / size, float(size))


def relu_optimum(d: int, n: int) -> Optimum:
    """The best layer of ReLU attention for `x ~ N(0, I)`, `w ~ N(0, I)`: Ahn et al., Theorem 5.

    Half of the scores are positive. For a multiple `a` of the identity the expected error is
    `d (1 - a + a^2 ((d + 2) / (2 n) + (n - 1) / (4 n)))`.
    """
    step = 2 * n / (2 * (d + 2) + n - 1)
    return Optimum(step * np.eye(d), d - step * d / 2)


def prompt_risk(
    covariance: Float[np.ndarray, "d d"],
    n: int,
    examples: int,
    weights: Float[np.ndarray, " d"],
    spread: Float[np.ndarray, "d d"],
    linear_risk: float = 0.0,
) -> float:
    """The risk of the layer trained for `n` examples, on prompts of another law and length.

    Args:
        covariance: `Lambda`, of the covariates in training and in the prompt.
        n: How many context examples the layer was trained for.
        examples: How many the prompt has.
        weights: `Lambda^{-1} E[y x]`, the best linear predictor of the prompt's law.
        spread: The covariance of `y x` in the prompt.
        linear_risk: The risk of the best linear predictor.

    Returns:
        `E (prediction - y)^2`: the linear risk, a variance over `examples`, and a bias over `n^2`,
        which more examples do not take away.
    """
    inverse = np.linalg.inv(_gamma(covariance, n))
    bias = (covariance + np.trace(covariance) * np.eye(len(covariance))) @ weights / n
    variance = np.trace(spread @ inverse @ covariance @ inverse) / examples
    return float(linear_risk + variance + bias @ inverse @ covariance @ inverse @ bias)


def shift_bias(
    covariance: Float[np.ndarray, "d d"], n: int, shifted: Float[np.ndarray, "d d"]
) -> Float[np.ndarray, "d d"]:
    """`Gamma^{-1} Lambda' - I`: what is wrong with the mean prediction on covariates of `Lambda'`.

    The bias at a query is `x_q^T (Gamma^{-1} Lambda' - I) w`. It is small for the covariance of the
    training and a large `n`, for every task and query, and not for any other covariance.
    """
    return np.linalg.solve(_gamma(covariance, n), shifted) - np.eye(len(covariance))


def _gamma(covariance: Float[np.ndarray, "d d"], n: int) -> Float[np.ndarray, "d d"]:
    return (1 + 1 / n) * covariance + np.trace(covariance) / n * np.eye(len(covariance))
