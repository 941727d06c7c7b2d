r"""Domains and splines for every smooth function of a learner.

A function's domain is where its argument is on every prompt of a box, if that was asked for and a
spline can be made there; otherwise the range of its argument on sample prompts, made wider. The
certificate says which, and a run reports every argument that leaves it.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from innerloop.compiler.calibrate import Ranges
from innerloop.compiler.certificate import Approximation
from innerloop.compiler.errors import CompileError, Refusal
from innerloop.compiler.forms import Atom
from innerloop.compiler.functions import Function
from innerloop.compiler.graph import Apply, Operation
from innerloop.compiler.splines import Spline, interpolated

_WIDER = 0.25
_FURTHER = 100.0
"""Functions that fall from a pole need few neurons for another decade: 60 of a thousand."""
_NEAREST = 1e-3
_UNBOUNDED = 1e30
_ROOM = 1e-3


def smooth_functions(
    operations: Iterable[Operation],
    ranges: Ranges,
    enclosures: Mapping[Atom, tuple[float, float]],
    *,
    tolerance: float,
    degree: int,
) -> tuple[dict[Atom, Spline], tuple[Approximation, ...]]:
    """A spline for each smooth function, by the atom that holds its value.

    Args:
        operations: Among them the smooth functions.
        ranges: Where their arguments are on sample prompts.
        enclosures: Where their arguments are on every prompt, as far as that is known. It becomes
            the domain where a spline can be made on it.
        tolerance: The largest error: relative where the function keeps its sign, as exponentials
            and reciprocals do, otherwise, or if that takes too many neurons, to `max(1, |f|)`.
        degree: 1 for ReLU neurons, 2 for ReGLU neurons.

    Raises:
        CompileError: If a function has no spline on its domain.
    """
    smooth = list(smooth_operations(operations))
    splines: dict[Atom, Spline] = {}
    refusals = []
    approximations = []
    for operation in smooth:
        function, out = operation.function, operation.out
        domains = list(_domains(function, out, ranges, enclosures))
        made = (
            (_spline_on(function, low, high, tolerance, degree), low, high, proved)
            for low, high, proved in domains
        )
        spline, low, high, proved = next(
            (found for found in made if found[0] is not None), (None, *domains[-1])
        )
        if spline is None:
            refusals.append(
                Refusal(
                    function.name,
                    out.source,
                    f"on [{low:.3g}, {high:.3g}], where the sample prompt takes it, it is not "
                    f"finite or needs thousands of neurons for an error of {tolerance:.0e}.",
                    "Keep its argument away from where it is singular, or raise `tolerance`.",
                )
            )
            continue
        splines[out] = spline
        approximations.append(
            Approximation(
                function.name,
                out.source,
                low,
                high,
                spline.error,
                spline.knots.size + 1,
                out.size,
                spline.floor,
                proved,
            )
        )
    if refusals:
        raise CompileError(refusals, len(smooth))
    return splines, tuple(approximations)


def _domains(
    function: Function,
    out: Atom,
    ranges: Ranges,
    enclosures: Mapping[Atom, tuple[float, float]],
) -> Iterator[tuple[float, float, bool]]:
    """Domains to try in turn, and whether no prompt leaves them."""
    if out in enclosures:
        yield *roomier(*enclosures[out]), True
    for measured in (ranges.found, ranges.in_context):
        yield *_domain(function, *measured.get(out, (0.0, 0.0))), False


def roomier(low: float, high: float) -> tuple[float, float]:
    """An interval with room for errors, on its own side of zero."""
    room = _ROOM * (high - low)
    lower = low - (_ROOM * low if low >= 0 else room)
    return lower, high + (_ROOM * -high if high <= 0 else room)


def _spline_on(
    function: Function, low: float, high: float, tolerance: float, degree: int
) -> Spline | None:
    """A spline with a relative error if there is one, else with one relative to `max(1, |f|)`."""
    if not np.isfinite(low) or not np.isfinite(high):
        return None
    for floor in dict.fromkeys((_smallest(function, low, high), 1.0)):
        spline = interpolated(function, low, high, tolerance=tolerance, degree=degree, floor=floor)
        if spline is not None:
            return spline
    return None


def smooth_operations(operations: Iterable[Operation]) -> Iterator[Apply]:
    """Every function that is not piecewise linear, in their order."""
    for operation in operations:
        if isinstance(operation, Apply) and operation.function.pieces is None:
            yield operation


def _domain(function: Function, low: float, high: float) -> tuple[float, float]:
    """The measured range made wider, as far as the function is finite and does not blow up."""
    margin = _WIDER * max(high - low, 1e-3 * max(abs(low), abs(high), 1e-6))
    lower, upper = low - margin, high + margin
    if low >= 0 >= lower and high > 0 and _blows_up(function, low or high):
        upper = max(upper, _FURTHER * high)
        lower = 0.0 if _reaches_zero(function, low or high) else low / 4 or lower
    if high <= 0 <= upper and low < 0 and _blows_up(function, high or low):
        lower = min(lower, _FURTHER * low)
        upper = 0.0 if _reaches_zero(function, high or low) else high / 4 or upper
    if lower < 0 < upper and _has_pole(function, high if high >= -low else low):
        side = 1.0 if high >= -low else -1.0
        edge = _NEAREST * max(high, -low) * side
        return (edge, upper) if side > 0 else (lower, edge)
    if not _finite(function, lower, low):
        lower = low
    if not _finite(function, high, upper):
        upper = high
    return lower, upper


def _smallest(function: Function, low: float, high: float) -> float:
    """The smallest absolute value of a function that keeps its sign, one at most; else one."""
    with np.errstate(all="ignore"):
        values = np.asarray(function.evaluate(np.linspace(low, high, 129)), float)
    keeps_sign = np.isfinite(values).all() and abs(np.sign(values).sum()) == values.size
    return min(1.0, float(np.abs(values).min())) if keeps_sign else 1.0


def _blows_up(function: Function, edge: float) -> bool:
    """Whether the function grows without bound between an edge of its domain and zero."""
    with np.errstate(all="ignore"):
        near, at = np.abs(function.evaluate(np.array([1e-9 * edge, edge])))
    return not near <= 10 * max(1.0, at)


def _reaches_zero(function: Function, edge: float) -> bool:
    """Whether the function goes on to zero itself, without a pole or a jump there."""
    if _has_pole(function, edge) or not _finite(function, min(edge, 0.0), max(edge, 0.0)):
        return False
    with np.errstate(all="ignore"):
        near, at = function.evaluate(np.array([1e-100 * edge, 0.0]))
    return bool(np.isclose(near, at, rtol=1e-6))


def _has_pole(function: Function, edge: float) -> bool:
    """Whether the function is unbounded near zero, whatever a guard says of zero itself."""
    with np.errstate(all="ignore"):
        (near,) = np.abs(function.evaluate(np.array([1e-100 * edge])))
    return not near <= _UNBOUNDED


def _finite(function: Function, start: float, stop: float) -> bool:
    with np.errstate(all="ignore"):
        values = np.asarray(function.evaluate(np.linspace(start, stop, 33)), float)
    return bool(np.isfinite(values).all())
