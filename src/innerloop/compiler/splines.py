r"""Smooth functions as neurons: splines on a declared domain, with knots where they are needed.

A continuous spline needs one neuron a knot. On its piece the spline is a polynomial `q_i`, and two
neighbours differ by a multiple of `x - t_i`:

    relu:   q_{i+1} - q_i = a (x - t_i)                        so    a relu(x - t_i)
    reglu:  q_{i+1} - q_i = (x - t_i) (a + b (x - t_i))        so    relu(x - t_i) (a + b (x - t_i))

so ReLU neurons give lines between knots (error `h^2 f'' / 8`) and ReGLU neurons parabolas (error
`h^3 f''' / 125`). The sum is anchored at the side from which fewer large terms cancel, which keeps
`1 / sqrt(x)` accurate over ten decades. Outside its domain a spline goes on as a line; left of zero
as a constant, where a root that rounding made negative would be multiplied by a slope of 1e30.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from innerloop.compiler.functions import Function

_PROBES = np.linspace(0.0, 1.0, 17)
_ROUNDS = 200
_SHORTEST = 1e-14
_MOST_PIECES = {1: 20_000, 2: 10_000}
_MOST_PROBES = 2_000
_WORST = 100.0
_STEEP = 1e3


@dataclass(frozen=True)
class Spline:
    """A continuous piecewise polynomial as neurons.

    Args:
        slope: Of the line at the anchored side.
        intercept: Of the line at the anchored side.
        facing: 1 if neurons are active to the right of their knots, -1 if to the left.
        knots: One for each neuron.
        linear: The coefficient of the distance to the knot.
        quadratic: The coefficient of its square.
        low: Where the domain begins.
        high: Where it ends.
        error: The largest error on the domain, relative to `max(floor, |f|)`, evaluated in float64.
        floor: Where the error stops to be relative.
    """

    slope: float
    intercept: float
    facing: int
    knots: np.ndarray
    linear: np.ndarray
    quadratic: np.ndarray
    low: float
    high: float
    error: float
    floor: float = 1.0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The spline at every entry."""
        distance = np.maximum(self.facing * (np.asarray(x)[..., None] - self.knots), 0.0)
        bends = distance * (self.linear + self.quadratic * distance)
        return self.slope * x + self.intercept + bends.sum(-1)


@np.errstate(all="ignore")
def interpolated(
    function: Function,
    low: float,
    high: float,
    *,
    tolerance: float,
    degree: int,
    floor: float = 1.0,
) -> Spline | None:
    """A spline within `tolerance max(floor, |f|)` of a function on `[low, high]`.

    Args:
        function: The function.
        low: Where the domain begins.
        high: Where it ends.
        tolerance: The largest error.
        degree: 1 for ReLU neurons, 2 for ReGLU neurons.
        floor: Where the error stops to be relative.

    Returns:
        The spline, or None if the function is not finite there, would need too many knots, or
        cannot be summed to within a hundred tolerances.
    """
    evaluate = _safe(function.evaluate)
    ends = _partition(evaluate, low, high, function.specials, tolerance, degree, floor)
    if ends is None:
        return None
    middle = _middle(ends)
    values = evaluate(np.concatenate([ends, middle]))
    if not np.isfinite(values).all():
        return None
    at, inner = values[: len(ends)], values[len(ends) :]
    pieces = _pieces(ends, at, inner, degree)
    candidates = [_anchored(ends, at, pieces, side) for side in (1, -1)]
    probe = (ends[:-1, None] + np.diff(ends)[:, None] * _PROBES).ravel()
    probe = probe[:: max(1, probe.size // _MOST_PROBES)]
    truth = evaluate(probe)
    best = min(candidates, key=lambda spline: _error(spline(probe), truth, floor))
    error = max(_error(best(probe), truth, floor), tolerance)
    if error > _WORST * tolerance:
        return None
    return replace(best, error=error, floor=floor)


def _safe(evaluate: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    def quiet(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(evaluate(np.asarray(x, np.float64)), np.float64)

    return quiet


def _error(values: np.ndarray, truth: np.ndarray, floor: float) -> float:
    return float(np.max(np.abs(values - truth) / np.maximum(floor, np.abs(truth))))


def _middle(ends: np.ndarray) -> np.ndarray:
    return 0.5 * (ends[:-1] + ends[1:])


def _partition(
    evaluate: Callable[[np.ndarray], np.ndarray],
    low: float,
    high: float,
    specials: tuple[float, ...],
    tolerance: float,
    degree: int,
    floor: float,
) -> np.ndarray | None:
    """Ends of pieces: every piece that is not good enough is halved, until all are."""
    ends = np.unique([low, *(t for t in specials if low < t < high), high])
    for _ in range(_ROUNDS):
        start, stop = ends[:-1], ends[1:]
        probe = start[:, None] + (stop - start)[:, None] * _PROBES
        truth = evaluate(probe.ravel()).reshape(probe.shape)
        fitted = _fit(truth, degree)
        gap = np.abs(fitted - truth) / np.maximum(floor, np.abs(truth))
        shortest = _SHORTEST * np.maximum(np.abs(start), np.abs(stop))
        bad = ~(gap.max(axis=1) <= 0.8 * tolerance) & (stop - start > shortest)
        if not bad.any():
            return ends
        a, b = start[bad], stop[bad]
        wide = (a > 0) & (b > 16 * a)
        ends = np.union1d(ends, np.where(wide, np.sqrt(np.abs(a * b)), 0.5 * (a + b)))
        if len(ends) > _MOST_PIECES[degree]:
            return None
    return ends


def _fit(values: np.ndarray, degree: int) -> np.ndarray:
    """The interpolant of each row on its probes: by both ends, a parabola by the middle too."""
    s = _PROBES
    first, middle, last = values[:, :1], values[:, [len(s) // 2]], values[:, -1:]
    line = first + (last - first) * s
    if degree == 1:
        return line
    return line + 4.0 * s * (1.0 - s) * (middle - 0.5 * (first + last))


def _pieces(
    ends: np.ndarray, at: np.ndarray, inner: np.ndarray, degree: int
) -> tuple[np.ndarray, np.ndarray]:
    """Slope at the left end and coefficient of the square, of every piece and of both lines."""
    h = np.diff(ends)
    chord = np.diff(at) / h
    bend = np.zeros_like(h)
    if degree == 2:
        bend = -4.0 * (inner - 0.5 * (at[:-1] + at[1:])) / h**2
    left = chord - bend * h
    first, last = left[0], left[-1] + 2.0 * bend[-1] * h[-1]
    if ends[0] == 0.0 and abs(first) * ends[-1] > _STEEP * np.ptp(at):
        first = 0.0
    slopes = np.concatenate([[first], left, [last]])
    return slopes, np.concatenate([[0.0], bend, [0.0]])


def _anchored(
    ends: np.ndarray, at: np.ndarray, pieces: tuple[np.ndarray, np.ndarray], facing: int
) -> Spline:
    """Neurons for the differences of neighbouring pieces, seen from one side."""
    slopes, bends = pieces
    h = np.diff(ends)
    arriving = np.concatenate([[slopes[0]], slopes[1:-1] + 2.0 * bends[1:-1] * h])
    linear = slopes[1:] - arriving
    quadratic = np.diff(bends)
    if facing < 0:
        quadratic, slope, anchor, value = -quadratic, slopes[-1], ends[-1], at[-1]
    else:
        slope, anchor, value = slopes[0], ends[0], at[0]
    kept = (linear != 0) | (quadratic != 0)
    return Spline(
        float(slope),
        float(value - slope * anchor),
        facing,
        ends[kept],
        linear[kept],
        quadratic[kept],
        float(ends[0]),
        float(ends[-1]),
        0.0,
    )
