r"""The inverse of a positive definite matrix, by Newton and Schulz, to a tolerance.

    M_0 = 2 / (a + b) I        M_{k+1} = M_k (2 I - A M_k)        |I - A M_k| <= ((b-a)/(b+a))^(2^k)

`[a, b]` holds the eigenvalues of `A`. Products only: no division by data, no pivots.
Axes: `d` covariates.
Reference: Schulz (1933); Ben-Israel (1965), An iterative method for computing the
generalized inverse of an arbitrary matrix.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def iterations_needed(smallest: float, largest: float, tolerance: float) -> int:
    """How many iterations bring `|I - A M|` below the tolerance, on a spectrum in the bounds.

    Raises:
        ValueError: If not `0 < smallest < largest` and `0 < tolerance < 1`.

    Example:
        The residual starts at 1/2 and is squared by each iteration.

        >>> iterations_needed(1.0, 3.0, tolerance=2.0**-8)
        3
    """
    if not 0 < smallest < largest:
        raise ValueError(
            "the inverse by Newton and Schulz needs bounds 0 < smallest < largest on the spectrum; "
            f"got {smallest} and {largest}. Use a positive penalty and a positive bound."
        )
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1; got {tolerance}.")
    start = (largest - smallest) / (largest + smallest)
    return max(0, math.ceil(math.log2(math.log(tolerance) / math.log(start)) - 1e-9))


def inverse(
    matrix: Float[Array, "d d"], smallest: float, largest: float, tolerance: float
) -> Float[Array, "d d"]:
    """The inverse of `matrix`, its eigenvalues in `[smallest, largest]`, to `tolerance`.

    Example:
        >>> inverse(jnp.array([[4.0]]), 1.0, 8.0, tolerance=1e-6).round(5).tolist()
        [[0.25]]
    """
    identity = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    return jax.lax.fori_loop(
        0,
        iterations_needed(smallest, largest, tolerance),
        lambda _, inverse: inverse @ (2 * identity - matrix @ inverse),
        2 / (smallest + largest) * identity,
    )
