r"""The expected error of descent on noiseless linear tasks, from the spectrum of the context alone.

    p_0 = t_0 = 1     p <- p (1 - eta_k s t^2)     t <- t (1 - gamma_k s t^2)
    loss = E sum_j p_K(s_j)^2

for the eigenvalues `s_j` of `S = (1/n) sum_i x_i x_i^T`, tasks `w ~ N(0, I)` and queries of
covariance `I`; a query variance `v` is a factor, as is the half of a half squared error.

Proof. A layer of GD++ turns `S` into `S (I - gamma S)^2` and the error `w - w_K` into
`(I - eta S) (w - w_K)` for the `S` of that layer. All of them have the eigenvectors of the first
`S`, so the error is `p_K(S) w`, and `E |p_K(S) w|^2 = sum_j p_K(s_j)^2`.

Neither tasks nor queries are sampled, and minimising over step sizes takes seconds: this is what
trained layers are compared with. In Ahn et al.'s family (11) `a_k` is `eta_k` and `b_k` is
`gamma_k / eta_k`.
Axes: `b` contexts, `d` covariates, `k` layers.
References: von Oswald et al. (2023), arXiv:2212.07677, A.10; Ahn et al. (2023), arXiv:2306.00297.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize


class Schedule(NamedTuple):
    """Step sizes `eta_k` and curvatures `gamma_k`, a layer each, beside means; and their loss."""

    learning_rates: Float[np.ndarray, " k"]
    curvatures: Float[np.ndarray, " k"]
    loss: float


def spectra(x: Float[np.ndarray, "b n d"]) -> Float[np.ndarray, "b d"]:
    """The eigenvalues of `(1/n) sum_i x_i x_i^T`, context by context, from the smallest up."""
    return np.linalg.eigvalsh(np.swapaxes(x, 1, 2) @ x / x.shape[1])


def error_factors(
    eigenvalues: Float[np.ndarray, "b d"],
    learning_rates: Float[np.ndarray, " k"],
    curvatures: Float[np.ndarray, " k"],
) -> Float[np.ndarray, "b d"]:
    """`p_K(s)`, what the layers leave of the error in each eigenvector.

    Example:
        >>> error_factors(np.array([[0.5, 1.0]]), np.array([1.0, 1.0]), np.zeros(2)).tolist()
        [[0.25, 0.0]]
    """
    left, scale = np.ones_like(eigenvalues), np.ones_like(eigenvalues)
    for rate, curvature in zip(learning_rates, curvatures, strict=True):
        now = eigenvalues * scale**2
        left, scale = left * (1 - rate * now), scale * (1 - curvature * now)
    return left


def spectral_loss(
    eigenvalues: Float[np.ndarray, "b d"],
    learning_rates: Float[np.ndarray, " k"],
    curvatures: Float[np.ndarray, " k"],
) -> float:
    """The mean over contexts of `sum_j p_K(s_j)^2`."""
    left = error_factors(eigenvalues, learning_rates, curvatures)
    return float(np.mean(np.sum(left**2, axis=1)))


def best_schedule(
    eigenvalues: Float[np.ndarray, "b d"],
    steps: int,
    *,
    curved: bool = False,
    tied: bool = True,
) -> Schedule:
    """The step sizes, and for GD++ the curvatures, of least mean loss over these spectra.

    A local search over logarithms, from the best single step; with `tied` it has one or two
    numbers to find. Without, GD++ has many local optima, and some that only fit these spectra.

    Args:
        eigenvalues: Of `(1/n) sum_i x_i x_i^T`, context by context.
        steps: The number `K` of layers.
        curved: Whether the covariates are transformed, GD++, or not, gradient descent.
        tied: Whether all layers share their numbers.

    Returns:
        The schedule.

    Example:
        One step takes `sum s / sum s^2`.

        >>> schedule = best_schedule(np.array([[0.5, 1.0]]), 1)
        >>> schedule.learning_rates.round(4).tolist(), round(schedule.loss, 4)
        ([1.2], 0.2)
    """
    single = np.sum(eigenvalues) / np.sum(eigenvalues**2)
    count = 1 if tied else steps

    def unpacked(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rates = np.exp(logs) * single
        curvatures = rates[count:] if curved else np.zeros(count)
        return np.resize(rates[:count], steps), np.resize(curvatures, steps)

    def objective(logs: np.ndarray) -> float:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            loss = np.log(spectral_loss(eigenvalues, *unpacked(logs)))
        return float(np.nan_to_num(loss, nan=np.inf))

    start = np.concatenate([np.linspace(0, 0 if tied else 1, count), np.full(curved * count, -2.0)])
    found = minimize(objective, start, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9,
        "maxiter": 2000})  # fmt: skip
    rates, curvatures = unpacked(found.x)
    return Schedule(rates, curvatures, spectral_loss(eigenvalues, rates, curvatures))
