r"""Distributions of covariates, and their moments.

    x = M z,   z with independent coordinates (or on the sphere),   E[x x^T] = s^2 M M^T

`s^2` is the variance of a coordinate of `z`: `scale^2` normal, `scale^2 / 3` uniform on
`[-scale, scale)`, `scale^2 / d` on the sphere of that radius, `2 scale^2` Laplace.
Axes: `d` covariates.
"""

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.tasks._draws import floating, normal, uniform

Family = Literal["normal", "uniform", "sphere", "laplace", "exponential"]
KURTOSIS = {"normal": 3.0, "uniform": 1.8, "laplace": 6.0}
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Covariates:
    """How covariates are drawn, a row a point.

    Args:
        family: The distribution of `z`.
        scale: Standard deviation (normal), half-width (uniform), radius (sphere) or scale parameter
            (Laplace, exponential) of `z`.
        mixing: `M`, `(d, d)`, as a tuple of rows; the identity when None.
        unit_context: Whether all covariates of a prompt are divided by the Frobenius norm of the
            context, which makes `scale` that norm (rows 3 and 4 of von Oswald et al., Figure 6).

    Example:
        >>> Covariates("uniform", scale=0.5).variance(d=10)
        0.08333333333333333
    """

    family: Family = "normal"
    scale: float = 1.0
    mixing: Matrix | None = None
    unit_context: bool = False

    def __post_init__(self):
        if not self.scale > 0:
            raise ValueError(f"the scale of covariates must be positive; got {self.scale}.")

    def white(self, points: int, d: int, *, key: PRNGKeyArray) -> Float[Array, "points d"]:
        """Points before mixing, `z`, with a scale of 1."""
        match self.family:
            case "uniform":
                return uniform(key, (points, d), -1.0, 1.0)
            case "normal":
                return normal(key, (points, d))
            case "sphere":
                z = normal(key, (points, d))
                return z / jnp.linalg.norm(z, axis=-1, keepdims=True)
            case "laplace":
                u = uniform(key, (points, d), -1.0, 1.0)
                return -jnp.sign(u) * jnp.log1p(-jnp.abs(u))
            case "exponential":
                return -jnp.log1p(-uniform(key, (points, d)))

    def mix(self, z: Float[Array, "points d"], n: int) -> Float[Array, "points d"]:
        """The covariates of white points, of which the first `n` are context."""
        x = z if self.mixing is None else z @ jnp.asarray(self.mixing, floating()).T
        if self.unit_context:
            x = x / jnp.linalg.norm(x[:n])
        return self.scale * x

    def sample(self, points: int, d: int, *, n: int, key: PRNGKeyArray) -> Float[Array, "points d"]:
        """Points, of which the first `n` are context."""
        return self.mix(self.white(points, d, key=key), n)

    def variance(self, d: int) -> float:
        """The second moment of a coordinate before mixing."""
        unit = {"normal": 1.0, "uniform": 1 / 3, "sphere": 1 / d, "laplace": 2.0}
        return self.scale**2 * unit.get(self.family, 2.0)

    def moments(self, d: int) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, "d d d d"]]:
        """The second and fourth moments, `E[x_a x_b]` and `E[x_a x_b x_c x_e]`.

        Raises:
            ValueError: If the odd moments are not zero, or covariates are normalised by context.
        """
        if self.family == "exponential" or self.unit_context:
            raise ValueError(
                f"the moments of {self} are not known in closed form: they are for independent "
                "prompts' covariates that are symmetric about zero. Use the sampled loss."
            )
        mixing = np.eye(d) if self.mixing is None else np.array(self.mixing)
        second = self.variance(d) * mixing @ mixing.T
        pairs = pairings(second)
        if self.family == "sphere":
            return second, pairs * d / (d + 2)
        excess = (KURTOSIS[self.family] - 3.0) * self.variance(d) ** 2
        return second, pairs + excess * np.einsum("ak,bk,ck,ek->abce", *(4 * (mixing,)))


def pairings(second: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d d d"]:
    """The fourth moments of a normal vector with these second moments: the sum over pairings."""
    return (
        np.einsum("ab,ce->abce", second, second)
        + np.einsum("ac,be->abce", second, second)
        + np.einsum("ae,bc->abce", second, second)
    )


def rotated(eigenvalues: tuple[float, ...], *, seed: int) -> Matrix:
    """A mixing matrix `U diag(sqrt(eigenvalues)) U^T` with `U` a random rotation.

    Its inverse, the mixing of teachers with the inverse covariance, is that of `1 / eigenvalues`.

    Example:
        >>> np.round(np.linalg.eigvalsh(rotated((4.0, 1.0, 0.25), seed=0)), 6).tolist()
        [0.5, 1.0, 2.0]
    """
    d = len(eigenvalues)
    basis, upper = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))
    basis = basis * np.sign(np.diag(upper))
    root = (basis * np.sqrt(eigenvalues)) @ basis.T
    return tuple(tuple(row) for row in root.tolist())
