r"""Functions of a number as sums of ReLUs, with the error known beforehand.

    f(t) ~ f(-R) + sum_i beta_i max(t - t_i, 0),      t_i = -R + 2 R i / m,  i = 0, ..., m - 1

Proof. `beta_0` the first slope and `beta_i` the change of slope at knot `i` make this the
interpolant through the knots, so on `[-R, R]` it is within `h^2 M_2 / 8` of `f`, for knots
`h = 2R/m` apart and `M_2 = max |f''|`; `m = ceil(R sqrt(M_2 / (2 eps)))` intervals suffice for
`eps`.

Departs from Bai et al., Proposition A.1, and Wu et al., Lemma 7: they use random features and show
that `O(eps^-2)` of them exist; these are explicit, and `O(eps^-1/2)`.
Axes: `f` hinges.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Hinges(NamedTuple):
    """`sum_m factor_m max(slope_m t + shift_m, 0)`."""

    factor: Float[np.ndarray, " f"]
    slope: Float[np.ndarray, " f"]
    shift: Float[np.ndarray, " f"]

    def __call__(self, t: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """The sum at `t`.

        Example:
            >>> ABSOLUTE(np.array([-2.0, 3.0])).tolist()
            [2.0, 3.0]
        """
        values = np.maximum(np.asarray(t)[..., None] * self.slope + self.shift, 0.0)
        return values @ self.factor

    @property
    def size(self) -> float:
        """The constant `C` of the papers, whose slopes have `|slope| + |shift| = 1`."""
        return float(np.sum(np.abs(self.factor) * (np.abs(self.slope) + np.abs(self.shift))))


IDENTITY = Hinges(np.array([1.0, -1.0]), np.array([1.0, -1.0]), np.zeros(2))
RECTIFIER = Hinges(np.ones(1), np.ones(1), np.zeros(1))
ABSOLUTE = Hinges(np.ones(2), np.array([1.0, -1.0]), np.zeros(2))


def ramp(width: float) -> Hinges:
    """The step at 0 as a ramp from 0 at 0 to 1 at `width`; exact outside.

    Example:
        >>> ramp(0.5)(np.array([-1.0, 0.25, 2.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    factor = np.array([1.0, -1.0])
    return Hinges(factor, np.full(2, 1 / width), np.array([0.0, -1.0]))


def interpolant(
    function: Callable[[Float[np.ndarray, " f"]], Float[np.ndarray, " f"]],
    radius: float,
    intervals: int,
) -> Hinges:
    """The piecewise linear interpolant on `[-radius, radius]`, of `intervals + 1` hinges.

    Example:
        >>> square = interpolant(np.square, 2.0, 4)
        >>> square(np.array([-2.0, -1.0, 0.5, 2.0])).tolist()
        [4.0, 1.0, 0.5, 4.0]
    """
    knots = np.linspace(-radius, radius, intervals + 1)
    slopes = np.diff(function(knots)) / np.diff(knots)
    changes = np.diff(slopes, prepend=0.0)
    return Hinges(
        np.concatenate([function(knots[:1]), changes]),
        np.concatenate([np.zeros(1), np.ones(intervals)]),
        np.concatenate([np.ones(1), -knots[:-1]]),
    )


def interpolation_error(curvature: float, radius: float, intervals: int) -> float:
    """`h^2 M_2 / 8`, the largest error of `interpolant` where `|f''| <= curvature`."""
    return (2 * radius / intervals) ** 2 * curvature / 8


def intervals_needed(curvature: float, radius: float, error: float) -> int:
    """How many intervals keep the error of `interpolant` below `error`.

    Example:
        >>> intervals_needed(2.0, 1.0, error=0.01), interpolation_error(2.0, 1.0, 10) < 0.0101
        (10, True)
    """
    return math.ceil(radius * math.sqrt(curvature / (2 * error)) - 1e-9)
