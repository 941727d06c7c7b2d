r"""Scalar functions of one variable, kept exact where they are piecewise linear.

Elementwise code of one variable, `where(x > 0, x, 0.01 * x)` or `1 - tanh(x) ** 2`, is fused into
one function before it becomes neurons, so that a chain of operations costs one layer.
A piecewise-linear function is its knots `t_1 < ... < t_k`, a slope and an intercept on each of the
`k + 1` pieces, and its value at each knot, which may differ from both sides.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from innerloop.compiler.polynomials import meetings, polynomial_result

Numbers = np.ndarray | np.floating


@dataclass(frozen=True)
class Piecewise:
    """A piecewise-linear function, jumps allowed.

    Args:
        knots: Where pieces meet, increasing.
        slopes: One for each piece.
        intercepts: One for each piece.
        at: The value at each knot.
    """

    knots: tuple[float, ...]
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    at: tuple[float, ...]

    @staticmethod
    def affine(slope: float, intercept: float) -> "Piecewise":
        """`slope * x + intercept`."""
        return Piecewise((), (float(slope),), (float(intercept),), ())

    def __call__(self, x: Numbers) -> np.ndarray:
        """The function of every entry."""
        piece = np.searchsorted(self.knots, x, side="right")
        y = np.asarray(self.slopes)[piece] * x + np.asarray(self.intercepts)[piece]
        for knot, value in zip(self.knots, self.at, strict=True):
            y = np.where(x == knot, value, y)
        return np.asarray(y)

    @property
    def is_constant_by_piece(self) -> bool:
        """Whether every piece is flat."""
        return not any(self.slopes)

    @property
    def is_affine(self) -> bool:
        """Whether there is one piece."""
        return not self.knots

    def sides(self, i: int) -> tuple[float, float]:
        """The limits from the left and from the right at knot `i`."""
        t = self.knots[i]
        return (
            self.slopes[i] * t + self.intercepts[i],
            self.slopes[i + 1] * t + self.intercepts[i + 1],
        )

    def jumps(self) -> list[tuple[float, float, float]]:
        """`(t, at - left, right - at)` wherever the function is not continuous."""
        found = []
        for i, t in enumerate(self.knots):
            left, right = self.sides(i)
            size = max(1.0, abs(left), abs(right)) * 1e-12
            if abs(right - left) > size or abs(self.at[i] - left) > size:
                found.append((t, self.at[i] - left, right - self.at[i]))
        return found

    def lowered(self, steps: Sequence[tuple[float, float, float]]) -> "Piecewise":
        """The continuous function that is left when these jumps are taken out."""
        lifts = np.zeros(len(self.slopes))
        for knot, left, right in steps:
            lifts[np.searchsorted(self.knots, knot, side="right") :] += left + right
        intercepts = tuple(float(b - lift) for b, lift in zip(self.intercepts, lifts, strict=True))
        if self.is_constant_by_piece:
            return Piecewise.affine(0.0, intercepts[0])
        at = tuple(self.slopes[i] * t + intercepts[i] for i, t in enumerate(self.knots))
        return Piecewise(self.knots, self.slopes, intercepts, at).simplified()

    def after_affine(self, slope: float, offset: float) -> "Piecewise":
        """The function of `slope * x + offset`."""
        knots = [(t - offset) / slope for t in self.knots]
        slopes = [a * slope for a in self.slopes]
        intercepts = [a * offset + b for a, b in zip(self.slopes, self.intercepts, strict=True)]
        at = list(self.at)
        if slope < 0:
            knots, slopes, intercepts, at = knots[::-1], slopes[::-1], intercepts[::-1], at[::-1]
        return Piecewise(tuple(t + 0.0 for t in knots), tuple(slopes), tuple(intercepts), tuple(at))

    def refined(self, knots: Sequence[float]) -> "Piecewise":
        """The same function with more knots."""
        every = sorted({*self.knots, *knots})
        middle = _samples(every)
        piece = np.searchsorted(self.knots, middle, side="right")
        at = tuple(float(self(np.asarray(t))) for t in every)
        return Piecewise(
            tuple(every),
            tuple(self.slopes[i] for i in piece),
            tuple(self.intercepts[i] for i in piece),
            at,
        )

    def simplified(self) -> "Piecewise":
        """The same function without the knots at which nothing happens."""
        keep = [
            i
            for i, value in enumerate(self.at)
            if (self.slopes[i], self.intercepts[i]) != (self.slopes[i + 1], self.intercepts[i + 1])
            or value != self.sides(i)[0]
        ]
        pieces = [0, *(i + 1 for i in keep)]
        return Piecewise(
            tuple(self.knots[i] for i in keep),
            tuple(self.slopes[i] for i in pieces),
            tuple(self.intercepts[i] for i in pieces),
            tuple(self.at[i] for i in keep),
        )


def _samples(knots: Sequence[float]) -> np.ndarray:
    """One point inside each piece."""
    if not knots:
        return np.zeros(1)
    inner = [(a + b) / 2 for a, b in zip(knots, knots[1:], strict=False)]
    return np.array([knots[0] - 1.0, *inner, knots[-1] + 1.0])


def _crossings(f: Piecewise, g: Piecewise) -> list[float]:
    """Where two functions with the same knots meet inside a piece."""
    found = []
    bounds = [-np.inf, *f.knots, np.inf]
    for i, (low, high) in enumerate(zip(bounds, bounds[1:], strict=False)):
        slope = f.slopes[i] - g.slopes[i]
        if slope:
            t = (g.intercepts[i] - f.intercepts[i]) / slope
            if low < t < high:
                found.append(t + 0.0)
    return found


_NEAR, _FAR = 1e-11, 1e-3
_LINEAR = {"add", "sub", "add_any"}
_TURNING = {"abs", "sign"}
_COMPARED = {"lt", "le", "gt", "ge", "eq", "ne"}
_ORDERED = {"max", "min", *_COMPARED}


def piecewise_result(
    name: str, evaluate: Callable[..., np.ndarray], inputs: Sequence[Piecewise]
) -> Piecewise | None:
    """An operation on piecewise-linear functions, or None where the result is not one.

    Args:
        name: The primitive's name.
        evaluate: The primitive itself, on arrays.
        inputs: Its operands, as functions of the same variable.

    Returns:
        The exact result.
    """
    knots = sorted({t for f in inputs for t in f.knots})
    inputs = [f.refined(knots) for f in inputs]
    if name in _ORDERED:
        extra = _crossings(*inputs)
        knots = sorted({*knots, *extra})
        inputs = [f.refined(extra) for f in inputs]
    if name in _TURNING:
        extra = _crossings(inputs[0], Piecewise.affine(0.0, 0.0).refined(knots))
        knots = sorted({*knots, *extra})
        inputs = [inputs[0].refined(extra)]
    pieces = [
        _piece(name, evaluate, [(f.slopes[i], f.intercepts[i]) for f in inputs], float(x))
        for i, x in enumerate(_samples(knots))
    ]
    if any(piece is None for piece in pieces):
        return None
    lines = [piece for piece in pieces if piece is not None]
    at = tuple(float(evaluate(*(np.float64(f.at[i]) for f in inputs))) for i in range(len(knots)))
    return Piecewise(
        tuple(knots), tuple(a for a, _ in lines), tuple(b for _, b in lines), at
    ).simplified()


def _piece(
    name: str,
    evaluate: Callable[..., np.ndarray],
    lines: list[tuple[float, float]],
    x: float,
) -> tuple[float, float] | None:
    """The result on one piece, as slope and intercept; `x` lies inside the piece."""
    values = [a * x + b for a, b in lines]
    (a0, b0), (a1, b1) = lines[0], lines[min(1, len(lines) - 1)]
    match name:
        case "add" | "add_any":
            return a0 + a1, b0 + b1
        case "sub":
            return a0 - a1, b0 - b1
        case "neg":
            return -a0, -b0
        case "mul" if not (a0 and a1):
            return (a0 * b1, b0 * b1) if a0 else (a1 * b0, b1 * b0)
        case "div" if not a1:
            return a0 / b1, b0 / b1
        case "max":
            return lines[int(values[1] > values[0])]
        case "min":
            return lines[int(values[1] < values[0])]
        case "abs":
            return (a0, b0) if values[0] >= 0 else (-a0, -b0)
        case "sign":
            return 0.0, float(np.sign(values[0]))
        case "select_n" if not a0:
            return lines[1 + int(values[0] != 0)]
        case "lt" | "le" | "gt" | "ge" | "eq" | "ne":
            same = lines[0] == lines[1]
            answer = (
                name in ("le", "ge", "eq") if same else bool(evaluate(*map(np.float64, values)))
            )
            return 0.0, float(answer)
        case "copy" | "convert_element_type" | "stop_gradient":
            return a0, b0
    if not any(a for a, _ in lines):
        return 0.0, float(evaluate(*map(np.float64, values)))
    return None


@dataclass(frozen=True, eq=False)
class Function:
    """A scalar function of one variable.

    Args:
        evaluate: Its value on an array.
        pieces: Its exact form, if it is piecewise linear.
        specials: Where a smooth function may have a kink or a jump.
        name: What the certificate and the anatomy call it.
        key: Equal for functions known to be equal.
        coefficients: Of a polynomial, the constant first; None for other functions.
    """

    evaluate: Callable[..., np.ndarray]
    pieces: Piecewise | None
    specials: tuple[float, ...] = ()
    name: str = ""
    key: Hashable = None
    coefficients: tuple[float, ...] | None = None

    @staticmethod
    def affine(slope: float, intercept: float = 0.0) -> "Function":
        """`slope * x + intercept`."""
        return Function.exact(Piecewise.affine(slope, intercept))

    @staticmethod
    def exact(pieces: Piecewise, name: str = "") -> "Function":
        """A piecewise-linear function."""
        line = (*pieces.intercepts, *pieces.slopes) if pieces.is_affine else None
        return Function(pieces, pieces, pieces.knots, name, pieces, line)

    def jumps(self) -> list[tuple[float, float, float]]:
        """`(t, at - left, right - at)` wherever the function is not continuous.

        A guarded singularity, `where(x > 0, rsqrt(x), 0)`, is none: its domain keeps away from it.
        """
        if self.pieces is not None:
            return self.pieces.jumps()
        found = []
        for t in self.specials:
            scale = max(1.0, abs(t))
            probes = t + scale * np.array([-_FAR, -_NEAR, 0.0, _NEAR, _FAR])
            with np.errstate(all="ignore"):
                values = np.asarray(self.evaluate(probes), np.float64)
            further_left, left, at, right, further_right = (float(v) for v in values)
            size = max(1.0, abs(left), abs(right)) * 1e-9
            height = max(abs(at - left), abs(right - at))
            steep = max(abs(left - further_left), abs(further_right - right))
            if height > size and steep < 0.5 * height:
                found.append((t, at - left, right - at))
        return found

    def without_jumps(self) -> tuple["Function", list[tuple[float, float, float]]]:
        """A continuous function, and the jumps that were taken out of it."""
        steps = self.jumps()
        if not steps:
            return self, steps
        if self.pieces is not None:
            return Function.exact(self.pieces.lowered(steps), "continuous"), steps

        def continuous(x: Numbers) -> np.ndarray:
            y = np.asarray(self.evaluate(x), np.float64)
            for t, left, right in steps:
                y = y - left * (x >= t) - right * (x > t)
            return y

        key = ("continuous", self.key)
        return Function(continuous, None, self.specials, self.name, key), steps

    @staticmethod
    def of_operation(
        name: str,
        evaluate: Callable[..., np.ndarray],
        inputs: Sequence["Function"],
        settings: str = "",
    ) -> "Function":
        """An elementwise operation on functions of the same variable; `settings` tell it apart."""
        if name in _COMPARED:
            inputs = _without_roots(inputs)
        exact = [f.pieces for f in inputs if f.pieces is not None]
        pieces = piecewise_result(name, evaluate, exact) if len(exact) == len(inputs) else None
        if pieces is not None:
            return Function.exact(pieces, _name_of(name, inputs, pieces))
        polynomial = polynomial_result(name, [f.coefficients for f in inputs], settings)
        if polynomial is not None and len(polynomial) <= 2:
            constant, slope = (*polynomial, 0.0)[:2]
            return Function.affine(slope, constant)
        specials = {t for f in inputs for t in f.specials}
        if name in _ORDERED:
            specials |= _meetings(inputs, sorted(specials))
        return Function(
            lambda x: evaluate(*(f.evaluate(x) for f in inputs)),
            None,
            tuple(sorted(specials)),
            _name_of(name, inputs, None),
            (name, settings, *(f.key for f in inputs)),
            polynomial,
        )


def _meetings(inputs: Sequence[Function], knots: Sequence[float]) -> set[float]:
    """Where two piecewise-linear functions or two polynomials meet; nothing is known of others."""
    exact = [f.pieces for f in inputs if f.pieces is not None]
    if len(exact) == len(inputs):
        return set(_crossings(*(f.refined(knots) for f in exact)))
    return meetings([f.coefficients for f in inputs])


def _without_roots(inputs: Sequence[Function]) -> Sequence[Function]:
    """`sqrt(u) <= c` as `u <= c^2` for `u` a line and `c >= 0`, which is exact also at zero."""
    one, two = inputs
    for root, other in ((one, two), (two, one)):
        under, bound = _under_root(root), other.pieces
        if under is not None and bound is not None and bound.is_affine and not bound.slopes[0]:
            if (c := bound.intercepts[0]) >= 0:
                pair = (Function.exact(under), Function.affine(0.0, c**2))
                return pair if root is one else pair[::-1]
    return inputs


def _under_root(function: Function) -> Piecewise | None:
    """The line of which a function is the square root."""
    match function.key:
        case ("sqrt", str(), Piecewise(knots=()) as line):
            return line
        case ("copy" | "convert_element_type" | "stop_gradient", str(), ("sqrt", str(), inner)):
            return inner if isinstance(inner, Piecewise) and inner.is_affine else None
    return None


def _name_of(name: str, inputs: Sequence[Function], pieces: Piecewise | None) -> str:
    if pieces is not None and pieces.knots == (0.0,):
        known: dict[tuple[float, ...], str] = {
            (0.0, 1.0, 0.0, 0.0): "relu",
            (-1.0, 1.0, 0.0, 0.0): "abs",
            (0.0, 0.0, 0.0, 1.0): "step",
            (0.0, 0.0, -1.0, 1.0): "sign",
        }
        label = known.get((*pieces.slopes, *pieces.intercepts))
        if label:
            return label
    if name in _LINEAR | {"mul", "div", "select_n", "neg", "copy", "convert_element_type"}:
        inner = [f.name for f in inputs if f.name]
        return inner[-1] if inner else name
    return name


IDENTITY = Function.affine(1.0)
