r"""The expected error of descent on noiseless linear tasks, from the spectrum of the context alone.

    p_0 = t_0 = 1     p <- p (1 - eta_k s t^2)     t <- t (1 - gamma_k s t^2)
    loss = E sum_j p_K(s_j)^2

for the eigenvalues `s_j` of `S = (1/n) sum_i x_i x_i^T`, tasks `w ~ N(0, I)` and queries of
covariance `I`; a query variance `v` is a factor, as is the half of a half squared error.

Proof. A layer of GD++ turns `S` into `S (I - gamma S)^2` and the error `w - w_K` into
`(I - eta S) (w - w_K)` for the `S` of that layer. All of them have the eigenvectors of the first
`S`, so the error is `p_K(S) w`, and `E |p_K(S) w|^2 = sum_j p_K(s_j)^2`.

Family (11) of Ahn et al. is the same with `a_k = eta_k` and `b_k = gamma_k / eta_k`. There
`A_k = a_k Sigma^{-1}`, `B_k = b_k I`, and `s` are the eigenvalues of the second moment of whitened
covariates: `A` and `B` commute with the whitening, and whitened tasks, from `N(0, Sigma^{-1})`, and
queries are `N(0, I)`. Family (8), preconditioned descent, has `b = 0`.

Neither tasks nor queries are sampled, and minimising over step sizes takes seconds: this is what
trained layers are compared with.
Axes: `b` contexts, `d` covariates, `k` layers.
References: von Oswald et al. (2023), arXiv:2212.07677, A.10; Ahn et al. (2023), arXiv:2306.00297,
Theorems 3 and 4.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import minimize

from innerloop.precision import in_precision


class Schedule(NamedTuple):
    """Step sizes `eta_k` and curvatures `gamma_k`, a layer each, beside means; and their loss."""

    learning_rates: Float[np.ndarray, " k"]
    curvatures: Float[np.ndarray, " k"]
    loss: float


class SpectralOptimum(NamedTuple):
    """The best scalars of a number of layers, and the expected loss that they leave."""

    steps: Float[np.ndarray, " k"]
    transforms: Float[np.ndarray, " k"]  # the last is never seen, and zero
    loss: float


def spectra(x: Float[np.ndarray, "b n d"]) -> Float[np.ndarray, "b d"]:
    """The eigenvalues of `(1/n) sum_i x_i x_i^T`, context by context, from the smallest up."""
    return np.linalg.eigvalsh(np.swapaxes(x, 1, 2) @ x / x.shape[1])


def whitened_spectra(
    rng: np.random.Generator, *, prompts: int, n: int, d: int
) -> Float[np.ndarray, "b d"]:
    """Eigenvalues of `S = (1/n) sum_i x_i x_i^T` for `x ~ N(0, I)`, a row a context.

    Example:
        >>> whitened_spectra(np.random.default_rng(0), prompts=7, n=5, d=3).shape
        (7, 3)
    """
    return spectra(rng.normal(size=(prompts, n, d)))


def spectral_residuals(
    eigenvalues: Float[Array | np.ndarray, "b d"],
    steps: Float[Array | np.ndarray, " k"],
    transforms: Float[Array | np.ndarray, " k"],
) -> Float[Array | np.ndarray, "k+1 b d"]:
    """The polynomials `p_0, ..., p_K` at eigenvalues, in the letters of Ahn et al.

    Args:
        eigenvalues: `s`, of whitened second moments, a row a context.
        steps: `a_k`.
        transforms: `b_k`; zeros for preconditioned gradient descent.

    Returns:
        What is left of the error along each eigenvector, layer by layer.

    Example:
        >>> spectral_residuals(np.array([[0.5]]), np.ones(2), np.zeros(2))[:, 0, 0].tolist()
        [1.0, 0.5, 0.25]
    """
    found = _residuals(eigenvalues, steps, steps * transforms)
    return (np if isinstance(found[0], np.ndarray) else jnp).stack(found)


def _residuals(
    eigenvalues: Float[Array | np.ndarray, "b d"],
    learning_rates: Float[Array | np.ndarray, " k"],
    curvatures: Float[Array | np.ndarray, " k"],
) -> list[Float[Array | np.ndarray, "b d"]]:
    """The recursion of this module: `p_0, ..., p_K`."""
    left = scale = eigenvalues * 0 + 1
    found = [left]
    for layer in range(len(learning_rates)):
        now = eigenvalues * scale**2
        left = left * (1 - learning_rates[layer] * now)
        scale = scale * (1 - curvatures[layer] * now)
        found.append(left)
    return found


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
    return np.asarray(_residuals(eigenvalues, learning_rates, curvatures)[-1])


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


def best_spectral_steps(
    eigenvalues: Float[np.ndarray, "b d"],
    layers: int,
    *,
    transforms: bool,
    starts: Sequence[Float[np.ndarray, " scalars"]],
    weights: Float[np.ndarray, " b"] | None = None,
) -> SpectralOptimum:
    """The scalars with the least mean loss on sampled spectra, by L-BFGS from several starts.

    Args:
        eigenvalues: Sampled spectra.
        layers: The number `L` of layers.
        transforms: Whether covariates are transformed: `2 L - 1` scalars instead of `L`.
        starts: Where to start: the logarithms of `a_l`, then the `b_l` of all layers but the last.
        weights: What each context counts in the mean; 1 when not given.

    Returns:
        The best of what the starts lead to. Without transforms layers commute, and `a` is sorted.

    Example:
        >>> spectra = np.array([[0.5, 1.0], [1.0, 1.5]])
        >>> best = best_spectral_steps(spectra, 1, transforms=False, starts=[np.zeros(1)])
        >>> best.steps.round(6), round(best.loss, 6)
        (array([0.888889]), 0.222222)
    """
    weights = np.ones(len(eigenvalues)) if weights is None else weights

    def objective(scalars: np.ndarray) -> tuple[float, np.ndarray]:
        slope = partial(_log_loss, layers)
        value, gradient = in_precision(slope, "float64", scalars, eigenvalues, weights)
        return float(value), np.asarray(gradient)

    size = 2 * layers - 1 if transforms else layers
    ends = [minimize(objective, start[:size], jac=True, method="L-BFGS-B") for start in starts]
    best = min(ends, key=lambda end: end.fun if np.isfinite(end.fun) else np.inf)
    steps, inner = np.exp(best.x[:layers]), np.zeros(layers)
    inner[: size - layers] = best.x[layers:]
    return SpectralOptimum(steps if transforms else np.sort(steps), inner, float(np.exp(best.fun)))


@partial(jax.jit, static_argnums=0)
def _log_loss(
    layers: int,
    scalars: Float[Array, " scalars"],
    eigenvalues: Float[Array, "b d"],
    weights: Float[Array, " b"],
) -> tuple[Float[Array, ""], Float[Array, " scalars"]]:
    """The logarithm of the mean loss, and its gradient by the scalars."""

    def value(scalars):
        inner = jnp.zeros(layers).at[: len(scalars) - layers].set(scalars[layers:])
        left = spectral_residuals(eigenvalues, jnp.exp(scalars[:layers]), inner)[-1]
        return jnp.log(jnp.mean(weights * jnp.sum(left**2, axis=1)))

    return jax.value_and_grad(value)(scalars)
