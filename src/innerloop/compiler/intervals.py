r"""Domains proved rather than measured: intervals carried through a learner's operations.

Every atom holds `[low, high]`, which contains its value in every token of its kind, on every
prompt of a box. With `[a, b]` and `[c, d]` read from atoms,

    form       sum_k A_k^+ low_k + A_k^- high_k,   and the other way round
    product    from min to max of {ac, ad, bc, bd};     a square has a sign
    head       score times value, summed or averaged over tokens; a softmax stays between values
    function   its range, on a grid that follows its argument over all decades
    gate       the value's, and zero where the gate may be closed

Dependence is not followed: `w - w` is twice as wide as `w`, so that intervals grow from step to
step and become useless where a learner divides by what may vanish. What they say holds all the
same, and where they say nothing, a domain is measured.
Axes: `g` kinds of tokens, context and queries, or `R` registers; `s` size of a form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from innerloop.compiler.box import Box
from innerloop.compiler.forms import Atom, Form, matrix, same
from innerloop.compiler.functions import Function
from innerloop.compiler.graph import Apply, Gate, Head, Operation, Product, Program
from innerloop.compiler.programs import Programs
from innerloop.kernels import Kernel

_FAR, _MODERATE = 1e30, 1e15
_DECADES = np.logspace(-30.0, 0.0, 61)
_GRID = np.linspace(0.0, 1.0, 257)
_ROUNDING = 1e-12


class Interval(NamedTuple):
    """Arrays `low <= high` of one shape, `(g, s)`."""

    low: np.ndarray
    high: np.ndarray

    @staticmethod
    def of(low: np.ndarray, high: np.ndarray) -> "Interval":
        """With infinities where nothing is known."""
        return Interval(
            np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
        )

    @property
    def reach(self) -> np.ndarray:
        """The largest absolute value."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def hull(self, other: "Interval") -> "Interval":
        """What contains both."""
        return Interval(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def scaled(self, factor: float) -> "Interval":
        """Times a number that is not negative."""
        return Interval(self.low * factor, self.high * factor)


def product(one: Interval, other: Interval) -> Interval:
    """The entrywise product, with broadcasting; zero times infinity is zero."""
    corners = [_finite_times(a, b) for a in one for b in other]
    return Interval(np.minimum.reduce(corners), np.maximum.reduce(corners))


@np.errstate(all="ignore")
def _finite_times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where((a == 0.0) | (b == 0.0), 0.0, a * b)


@np.errstate(all="ignore")
def image(function: Function, argument: Interval) -> Interval:
    """The range of a function over an interval, `[min f, max f]`, made wider by its bends.

    Exact for piecewise-linear functions. Others are evaluated on a grid that approaches zero, kinks
    and both ends decade by decade; where they rise and fall there, the range is wider by the
    largest distance of a value from the line between its neighbours.
    """
    low, high = (np.clip(end, -_FAR, _FAR)[..., None] for end in argument)
    kinks = np.asarray(function.specials, float)
    sides = [np.nextafter(kinks, side) for side in (-np.inf, np.inf)]
    fixed = np.concatenate([kinks, *sides])
    if function.pieces is None:
        near = np.concatenate([kinks, [0.0]])
        fixed = np.concatenate([fixed, *(t + sign * _DECADES for t in near for sign in (-1, 1))])
        span = high - low
        points = [low + span * _GRID, low + span * _DECADES, high - span * _DECADES]
    else:
        points = [low, high]
    fixed = np.broadcast_to(fixed, (*low.shape[:-1], fixed.size))
    points = np.sort(np.clip(np.concatenate([*points, fixed], axis=-1), low, high), axis=-1)
    values = np.asarray(function.evaluate(points), float)
    slack = np.zeros(values.shape[:-1])
    if function.pieces is None:
        rises, falls = (np.diff(values) > 0).any(axis=-1), (np.diff(values) < 0).any(axis=-1)
        left, right = np.diff(points)[..., :-1], np.diff(points)[..., 1:]
        line = (values[..., :-2] * right + values[..., 2:] * left) / (left + right)
        bends = np.nanmax(np.abs(values[..., 1:-1] - line), axis=-1, initial=0.0)
        slack = np.where(rises & falls, bends, 0.0)
    beyond = (argument.reach > _FAR) & (np.abs(values).max(axis=-1) > _MODERATE)
    unknown = beyond | ~np.isfinite(values).all(axis=-1)
    least, most = values.min(axis=-1) - slack, values.max(axis=-1) + slack
    wider = Interval(least - _ROUNDING * np.abs(least), most + _ROUNDING * np.abs(most))
    return Interval(np.where(unknown, -np.inf, wider.low), np.where(unknown, np.inf, wider.high))


@dataclass(eq=False)
class Enclosures:
    """What intervals say of functions and products.

    Args:
        arguments: By the atom of a function, an interval around its argument.
        factors: By the atom of a product, the largest absolute values of both factors.
    """

    arguments: dict[Atom, tuple[float, float]]
    factors: dict[Atom, tuple[float, float]]


class IntervalInterpreter:
    """Runs programs on all prompts of a box at once.

    Args:
        programs: The three programs.
        box: Of the prompts.
        n: How many context examples they have at most.
    """

    def __init__(self, programs: Programs, box: Box, n: int):
        self.n, self.found = n, Enclosures({}, {})
        state, flags = programs.state, programs.state.flags
        self.kinds = {"data": 2, "register": flags.registers}
        x, y = (np.transpose(np.array(side, float)) for side in (box.x, box.y))
        asked = np.zeros_like(y)
        self.values = {
            state.x: Interval(np.tile(x[0], (2, 1)), np.tile(x[1], (2, 1))),
            state.y: Interval(np.stack([y[0], asked[0]]), np.stack([y[1], asked[1]])),
            flags.one: Interval(np.ones((2, 1)), np.ones((2, 1))),
            flags.name: Interval(np.eye(flags.registers), np.eye(flags.registers)),
        }
        for atom in (*state.atoms, *programs.clocks):
            zero = np.zeros((self.kinds[atom.tokens], atom.size))
            self.values[atom] = Interval(zero, zero)

    def read(self, form: Form) -> Interval:
        """A form in each kind of token."""
        shape = self.kinds[form.tokens], form.size
        low, high, lows, highs = (np.zeros(shape) for _ in range(4))
        for atom, weights in form.terms.items():
            up, down = weights.maximum(0.0).T, weights.minimum(0.0).T
            value = self.values[atom]
            low = low + (value.low @ up + value.high @ down)
            high = high + (value.high @ up + value.low @ down)
            lows = lows + (np.abs(value.low) @ up - np.abs(value.high) @ down)
            highs = highs + (np.abs(value.high) @ up - np.abs(value.low) @ down)
        return Interval.of(low - _ROUNDING * lows, high + _ROUNDING * highs)

    def run(self, program: Program) -> None:
        """Runs a program once."""
        for operation in program.operations:
            self.values[operation.out] = self._computed(operation)
        self.values |= {state: self.read(form) for state, form in program.writes.items()}

    def _computed(self, operation: Operation) -> Interval:
        match operation:
            case Head():
                return self._attended(operation)
            case Apply():
                return self._applied(operation)
            case Product():
                return self._multiplied(operation)
            case Gate():
                return self._gated(operation)

    def _applied(self, apply: Apply) -> Interval:
        base = self.read(apply.base)
        rows = slice(apply.rows)
        low, high = float(base.low[rows].min()), float(base.high[rows].max())
        known = self.found.arguments.get(apply.out, (np.inf, -np.inf))
        self.found.arguments[apply.out] = min(known[0], low), max(known[1], high)
        return image(apply.function, base)

    def _multiplied(self, operation: Product) -> Interval:
        left, right = self.read(operation.left), self.read(operation.right)
        known = self.found.factors.get(operation.out, (0.0, 0.0))
        largest = float(left.reach.max(initial=0.0)), float(right.reach.max(initial=0.0))
        self.found.factors[operation.out] = max(known[0], largest[0]), max(known[1], largest[1])
        result = product(left, right)
        sign = _sign_of_square(operation.left, operation.right)
        low = np.maximum(result.low, 0.0) if sign > 0 else result.low
        return Interval(low, np.minimum(result.high, 0.0) if sign < 0 else result.high)

    def _gated(self, gate: Gate) -> Interval:
        base, value = self.read(gate.base), self.read(gate.value)
        open_, closed = base.low > gate.knot, base.high <= gate.knot
        maybe = value.hull(Interval(np.zeros_like(value.low), np.zeros_like(value.high)))
        low = np.where(closed, 0.0, np.where(open_, value.low, maybe.low))
        return Interval(low, np.where(closed, 0.0, np.where(open_, value.high, maybe.high)))

    def _attended(self, head: Head) -> Interval:
        query, key, value = (self.read(form) for form in head.reads)
        context = head.key.tokens == "data"
        if context:
            key, value = (Interval(part.low[:1], part.high[:1]) for part in (key, value))
        if head.kernel.normalised:
            shape = len(query.low), value.low.shape[1]
            low, high = value.low.min(axis=0), value.high.max(axis=0)
            return Interval(np.broadcast_to(low, shape), np.broadcast_to(high, shape))
        dots = product(_between(query, 1), _between(key, 0))
        scores = _scores(head.kernel, Interval(dots.low.sum(axis=2), dots.high.sum(axis=2)))
        parts = product(_between(scores, 2), _between(value, 0))
        total = Interval.of(parts.low.sum(axis=1), parts.high.sum(axis=1))
        if context and not head.mean:
            total = total.hull(total.scaled(float(self.n)))
        elif head.mean and not context:
            total = total.hull(total.scaled(1.0 / self.n))
        return total


def _sign_of_square(left: Form, right: Form) -> int:
    """The sign of a product of multiples of one form; zero where they are not."""
    if left.terms.keys() != right.terms.keys() or not left.terms:
        return 0
    factor = 0.0
    for atom, weights in left.terms.items():
        other = right.terms[atom]
        factor = factor or float(other.data[0] / weights.data[0])
        if not same(matrix(weights * factor), other):
            return 0
    return int(np.sign(factor))


def _between(interval: Interval, axis: int) -> Interval:
    return Interval(*(np.expand_dims(part, axis) for part in interval))


def _scores(kernel: Kernel, dots: Interval) -> Interval:
    """The kernel's values, where products of queries and keys are in an interval."""
    dots = Interval.of(*dots)
    rising: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "linear": lambda s: s,
        "relu": lambda s: np.maximum(s, 0.0),
        "exp": np.exp,
    }
    if kernel.name in rising:
        return Interval(*(rising[kernel.name](part) for part in dots))
    return Interval(np.zeros_like(dots.low), np.ones_like(dots.high))


def enclosed(programs: Programs, box: Box, n: int, steps: int) -> Enclosures:
    """Intervals around the arguments of functions and the factors of products, over all steps.

    Args:
        programs: The three programs.
        box: Of the prompts.
        n: How many context examples they have at most.
        steps: How many steps to follow.

    Returns:
        What contains every argument and factor, on every prompt of the box.
    """
    with np.errstate(all="ignore"):
        interpreter = IntervalInterpreter(programs, box, n)
        interpreter.run(programs.init)
        for _ in range(steps):
            interpreter.run(programs.step)
        interpreter.run(programs.read_out)
    return interpreter.found
