r"""What layers of linear attention leave of the error, an eigenvalue at a time: Ahn et al., Thm 4.

    p_0 = t_0 = 1     p_{l+1} = p_l (1 - a_l s t_l^2)     t_{l+1} = t_l (1 - a_l b_l s t_l^2)

for `A_l = a_l Sigma^{-1}`, `B_l = b_l I` and an eigenvalue `s` of the context's whitened second
moment `S`: the expected loss over tasks `w ~ N(0, Sigma^{-1})` is `E sum_j p_L(s_j)^2`.

Proof. In whitened coordinates a layer multiplies covariates by `I - a_l b_l S_l`, where `S_l` is
their second moment then; that commutes with `S`, so covariates have been multiplied by a
polynomial `t_l(S)` and `S_l = S t_l(S)^2`. The residual of a token is its first covariate times
`p_l(S)` times the task, and a layer multiplies that by `I - a_l S_l`. Whitened tasks and queries
are `N(0, I)`, so the expected square is the sum of squares over eigenvalues.

`b = 0` is preconditioned gradient descent, family (8) of the paper; with `b`, family (11), GD++.
Axes: `b` contexts, `d` covariates, `l` layers.
Reference: Ahn et al. (2023), arXiv:2306.00297, Theorems 3 and 4.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

from innerloop.precision import in_precision


class SpectralOptimum(NamedTuple):
    """The best scalars of a number of layers, and the expected loss that they leave."""

    steps: Float[np.ndarray, " l"]
    transforms: Float[np.ndarray, " l"]  # the last is never seen, and zero
    loss: float


def whitened_spectra(
    rng: np.random.Generator, *, prompts: int, n: int, d: int
) -> Float[np.ndarray, "b d"]:
    """Eigenvalues of `S = (1/n) sum_i x_i x_i^T` for `x ~ N(0, I)`, a row a context.

    Example:
        >>> whitened_spectra(np.random.default_rng(0), prompts=7, n=5, d=3).shape
        (7, 3)
    """
    x = rng.normal(size=(prompts, n, d))
    return np.linalg.eigvalsh(np.einsum("bni,bnj->bij", x, x) / n)


def spectral_residuals(
    eigenvalues: Float[Array | np.ndarray, "b d"],
    steps: Float[Array | np.ndarray, " l"],
    transforms: Float[Array | np.ndarray, " l"],
) -> Float[Array | np.ndarray, "l+1 b d"]:
    """The polynomials `p_0, ..., p_L` at eigenvalues.

    Args:
        eigenvalues: `s`, of whitened second moments, a row a context.
        steps: `a_l`.
        transforms: `b_l`; zeros for preconditioned gradient descent.

    Returns:
        What is left of the error along each eigenvector, layer by layer.

    Example:
        >>> spectral_residuals(np.array([[0.5]]), np.ones(2), np.zeros(2))[:, 0, 0].tolist()
        [1.0, 0.5, 0.25]
    """
    left = scale = eigenvalues * 0 + 1
    found = [left]
    for layer in range(len(steps)):
        moved = steps[layer] * eigenvalues * scale**2
        left, scale = left * (1 - moved), scale * (1 - transforms[layer] * moved)
        found.append(left)
    return (np if isinstance(left, np.ndarray) else jnp).stack(found)


def best_spectral_steps(
    eigenvalues: Float[np.ndarray, "b d"],
    layers: int,
    *,
    transforms: bool,
    starts: Sequence[Float[np.ndarray, " scalars"]],
) -> SpectralOptimum:
    """The scalars with the least mean loss on sampled spectra, by L-BFGS from several starts.

    Args:
        eigenvalues: Sampled spectra.
        layers: The number `L` of layers.
        transforms: Whether covariates are transformed: `2 L - 1` scalars instead of `L`.
        starts: Where to start: the logarithms of `a_l`, then the `b_l` of all layers but the last.

    Returns:
        The best of what the starts lead to. Without transforms layers commute, and `a` is sorted.

    Example:
        >>> spectra = np.array([[0.5, 1.0], [1.0, 1.5]])
        >>> best = best_spectral_steps(spectra, 1, transforms=False, starts=[np.zeros(1)])
        >>> best.steps.round(6), round(best.loss, 6)
        (array([0.888889]), 0.222222)
    """

    def objective(scalars: np.ndarray) -> tuple[float, np.ndarray]:
        slope = partial(_log_loss, layers)
        value, gradient = in_precision(slope, "float64", scalars, eigenvalues)
        return float(value), np.asarray(gradient)

    size = 2 * layers - 1 if transforms else layers
    ends = [
        scipy.optimize.minimize(objective, start[:size], jac=True, method="L-BFGS-B")
        for start in starts
    ]
    best = min(ends, key=lambda end: end.fun if np.isfinite(end.fun) else np.inf)
    steps, inner = np.exp(best.x[:layers]), np.zeros(layers)
    inner[: size - layers] = best.x[layers:]
    return SpectralOptimum(steps if transforms else np.sort(steps), inner, float(np.exp(best.fun)))


@partial(jax.jit, static_argnums=0)
def _log_loss(
    layers: int, scalars: Float[Array, " scalars"], eigenvalues: Float[Array, "b d"]
) -> tuple[Float[Array, ""], Float[Array, " scalars"]]:
    """The logarithm of the mean loss, and its gradient by the scalars."""

    def value(scalars):
        inner = jnp.zeros(layers).at[: len(scalars) - layers].set(scalars[layers:])
        left = spectral_residuals(eigenvalues, jnp.exp(scalars[:layers]), inner)[-1]
        return jnp.log(jnp.mean(jnp.sum(left**2, axis=1)))

    return jax.value_and_grad(value)(scalars)
