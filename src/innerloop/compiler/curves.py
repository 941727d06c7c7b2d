r"""A scalar function as its neurons compute it: its values, how steep it is, how it is rounded.

Neurons make a continuous piecewise parabola `s`. If the learner computes `f(x)` and the transformer
`s(u)` with `|u - x| <= r`, then

    |s(u) - f(x)| <= |s(x) - f(x)| + r max_{[x - r, x + r]} |s'| + rounding,

and all three terms are computed, not estimated: between two knots `|s'|` is largest at an end, and
`s(u)` lies between the values at both ends and those at which it turns. A ramp of height `h` in
place of a jump moves `s` by no more than `h`, however steep it is.
Axes: `k` knots.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from innerloop.compiler.expansion import hinges
from innerloop.compiler.functions import Function, Piecewise
from innerloop.compiler.splines import Spline

_SPARE = 8
"""Roundings of a neuron beside those of the sums in it."""


class RangeMaximum:
    """The largest of `values[low:high]`, for many ranges at once; of an empty one, -infinity."""

    def __init__(self, values: np.ndarray):
        levels = [np.append(values, -np.inf)]
        while len(levels[-1]) > (1 << len(levels) - 1):
            above, reach = levels[-1], 1 << len(levels) - 1
            shifted = np.append(above[reach:], np.full(reach, -np.inf))
            levels.append(np.maximum(above, shifted))
        self.table = np.stack(levels)

    def __call__(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """One maximum for each range."""
        length = np.maximum(high - low, 1)
        level = np.frexp(length)[1] - 1
        largest = np.maximum(self.table[level, low], self.table[level, high - (1 << level)])
        return np.where(high > low, largest, -np.inf)


@dataclass(frozen=True)
class _Parabolas:
    """`sum_j relu(z - z_j) (l_j + q_j relu(z - z_j))`, piece by piece from the left."""

    knots: np.ndarray
    value: np.ndarray
    slope: np.ndarray
    bend: np.ndarray

    @staticmethod
    def of(
        knots: np.ndarray, linear: np.ndarray, quadratic: np.ndarray, slope: float, value: float
    ) -> "_Parabolas":
        """From the neurons, and slope and value at the first knot."""
        bend = np.cumsum(quadratic)
        gap = np.diff(knots)
        slopes = slope + np.cumsum(linear + np.append(0.0, 2.0 * bend[:-1] * gap))
        values = value + np.append(0.0, np.cumsum(gap * (slopes[:-1] + bend[:-1] * gap)))
        first = np.array([slope]), np.array([value])
        return _Parabolas(
            knots,
            np.concatenate([first[1], values]),
            np.concatenate([first[0], slopes]),
            np.append(0.0, bend),
        )

    def at(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Value, slope and the number of knots to the left."""
        piece = np.searchsorted(self.knots, z, side="left")
        d = z - self.knots[np.maximum(piece - 1, 0)]
        value = self.value[piece] + d * (self.slope[piece] + self.bend[piece] * d)
        return value, self.slope[piece] + 2.0 * self.bend[piece] * d, piece


@dataclass(frozen=True, eq=False)
class Curve:
    """What neurons compute in place of a scalar function.

    Args:
        function: The function.
        spline: The neurons.
        jumps: The jumps that are ramps, `(low, high, height)`.
        exact: The function's pieces, if it is piecewise linear.
    """

    function: Function
    spline: Spline
    jumps: tuple[tuple[float, float, float], ...] = ()
    exact: Piecewise | None = None

    @staticmethod
    def of(function: Function, spline: Spline | None, step_ramp: float) -> "Curve":
        """The neurons that a function becomes; `spline` stands in for one that is smooth."""
        if spline is not None:
            return Curve(function, spline)
        pieces = function.pieces
        assert pieces is not None, "a smooth function has a spline"
        facing, seen = 1, pieces
        line = pieces.slopes[0], pieces.intercepts[0]
        if any(line) and not pieces.slopes[-1] and not pieces.intercepts[-1]:
            facing, seen, line = -1, pieces.after_affine(-1.0, 0.0), (0.0, 0.0)
        made = np.array(hinges(seen, step_ramp)).reshape(-1, 2)
        knots, flat = facing * made[:, 0], np.zeros(len(made))
        neurons = Spline(line[0], line[1], facing, knots, made[:, 1], flat, -np.inf, np.inf, 0.0)
        jumps = tuple(
            (t - step_ramp * bool(left), t + step_ramp * bool(right), abs(left) + abs(right))
            for t, left, right in pieces.jumps()
        )
        return Curve(function, neurons, jumps, pieces)

    @cached_property
    def _neurons(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Knots on the axis `z = facing x`, increasing, with both coefficients."""
        spline = self.spline
        order = np.argsort(spline.facing * spline.knots)
        z = (spline.facing * spline.knots)[order]
        return z, spline.linear[order], spline.quadratic[order]

    @cached_property
    def _parabolas(self) -> _Parabolas:
        z, linear, quadratic = self._neurons
        slope = self.spline.slope * self.spline.facing
        return _Parabolas.of(z, linear, quadratic, slope, slope * z[0] + self.spline.intercept)

    @cached_property
    def _sizes(self) -> tuple[_Parabolas, _Parabolas]:
        """The same with absolute coefficients; and with these times the knots."""
        z, linear, quadratic = self._neurons
        plain = _Parabolas.of(z, np.abs(linear), np.abs(quadratic), 0.0, 0.0)
        weighted = _Parabolas.of(z, np.abs(linear * z), np.abs(quadratic * z), 0.0, 0.0)
        return plain, weighted

    @cached_property
    def _slopes(self) -> tuple[RangeMaximum, RangeMaximum]:
        """The largest slope at knots, on either side of them; and of its negative."""
        p = self._parabolas
        gap = np.append(0.0, np.diff(p.knots))
        arriving, leaving = p.slope[:-1] + 2.0 * p.bend[:-1] * gap, p.slope[1:]
        most, least = np.maximum(arriving, leaving), np.minimum(arriving, leaving)
        return RangeMaximum(most), RangeMaximum(-least)

    @cached_property
    def _turns(self) -> tuple[RangeMaximum, RangeMaximum]:
        """The largest value of each piece, where it begins or where it turns; of its negative."""
        p = self._parabolas
        slope, bend, start = p.slope[1:], p.bend[1:], p.value[1:]
        with np.errstate(divide="ignore", invalid="ignore"):
            d = -slope / (2.0 * bend)
            inside = (d > 0.0) & (d < np.append(np.diff(p.knots), np.inf))
            turn = np.where(inside, start + 0.5 * d * slope, start)
        return RangeMaximum(np.maximum(start, turn)), RangeMaximum(-np.minimum(start, turn))

    @cached_property
    def _pieces(self) -> RangeMaximum:
        assert self.exact is not None, "only what is piecewise linear has jumps"
        return RangeMaximum(np.abs(self.exact.slopes))

    def value(self, x: np.ndarray) -> np.ndarray:
        """What the neurons compute in exact arithmetic."""
        if not self.spline.knots.size:
            return self.spline.slope * x + self.spline.intercept
        z = self.spline.facing * x
        value, _, piece = self._parabolas.at(z)
        line = self.spline.slope * x + self.spline.intercept
        return np.where(piece == 0, line, value)

    def spread(self, x: np.ndarray, r: np.ndarray) -> np.ndarray:
        """A bound on `|s(u) - s(x)|` for all `u` within `r` of `x`."""
        if not self.spline.knots.size:
            return abs(self.spline.slope) * r
        if not self.jumps:
            least, most = self._slope_range(x, r)
            monotone = (least >= 0.0) | (most <= 0.0)
            return np.minimum(self._moved(x, r, monotone), r * np.maximum(-least, most))
        assert self.exact is not None, "only what is piecewise linear has jumps"
        pieces = self._pieces(
            np.searchsorted(self.exact.knots, x - r, side="left"),
            np.searchsorted(self.exact.knots, x + r, side="right") + 1,
        )
        stepped = pieces * r
        for start, stop, height in self.jumps:
            stepped = stepped + height * ((x + r > start) & (x - r < stop))
        return np.where(r > 0, stepped, 0.0)

    def _moved(self, x: np.ndarray, r: np.ndarray, monotone: np.ndarray) -> np.ndarray:
        """The same from values: at both ends, and in every piece between where it turns."""
        here, *ends = (self.value(at) for at in (x, x - r, x + r))
        low, high = (
            np.searchsorted(self._parabolas.knots, self.spline.facing * x + d) for d in (-r, r)
        )
        above, below = (turned(np.maximum(low - 1, 0), high) for turned in self._turns)
        turned = np.where(monotone, 0.0, np.maximum(above - here, below + here))
        return np.maximum(turned, np.maximum(*(np.abs(end - here) for end in ends)))

    def tangent(self, x: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The slope at `x`, and how far other slopes within `r` of it are from that."""
        if not self.spline.knots.size:
            return np.full_like(x, self.spline.slope), np.zeros_like(x)
        here = self._parabolas.at(self.spline.facing * x)[1]
        least, most = self._slope_range(x, r)
        return self.spline.facing * here, np.maximum(most - here, here - least)

    def _slope_range(self, x: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest slope within `r` of `x`, along `z = facing x`."""
        z = self.spline.facing * x
        ends = [self._parabolas.at(end)[1] for end in (z - r, z + r)]
        inside = (
            np.searchsorted(self._parabolas.knots, z - r, side="left"),
            np.searchsorted(self._parabolas.knots, z + r, side="right"),
        )
        most, least = (maximum(*inside) for maximum in self._slopes)
        return np.minimum(-least, np.minimum(*ends)), np.maximum(most, np.maximum(*ends))

    def rounding(self, x: np.ndarray, r: np.ndarray, size: np.ndarray, reads: int) -> np.ndarray:
        """A bound on the rounding of the neurons, in units of the precision's spacing.

        Args:
            x: The arguments.
            r: How far the transformer's arguments may be from them.
            size: The sum of the absolute values of the terms of each argument.
            reads: How many terms an argument has.
        """
        spline = self.spline
        line = abs(spline.slope) * (size + r) + abs(spline.intercept)
        if not spline.knots.size:
            return (reads + _SPARE) * line
        plain, weighted = self._sizes
        z = spline.facing * x + r
        total, slope, active = plain.at(z)
        _, places, _ = weighted.at(z)
        read = (slope + abs(spline.slope)) * (size + r) + places
        return (active + _SPARE) * (line + total) + 2 * (reads + _SPARE) * read
