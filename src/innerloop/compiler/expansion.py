r"""From functions, products and gates to neurons of one hidden layer.

    relu(x - t)                 a hinge, exact
    [x > t] v                   relu(1 - u) v   with  u = 2 relu(1 - (x - t) / ramp)
    a b                         relu(a) b - relu(-a) b
    f(a) b                      the hinges of f, each times b, where that is ready sooner

A gate is exact outside its ramp `t < x < t + ramp`: there `u` is 0 or at least 2, whatever its
size and its rounding, and no large number is ever added to a small one. A jump whose value itself
is needed, as in `sign(x)`, is a ramp of width `step_ramp` made of two hinges. A ReLU MLP has no
multiplication: there products are squares of hinges, and gates subtract a large number from what
must not pass.
Axes: `s` size of a form, `f` neurons.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp

from innerloop.compiler.emulated import Emulated
from innerloop.compiler.forms import Atom, Form, eye, matrix, selection
from innerloop.compiler.functions import Piecewise
from innerloop.compiler.fusion import Fused, fused_products
from innerloop.compiler.graph import Apply, Flags, Gate, Head, Operation, Product
from innerloop.compiler.hinges import gate_of_hinges, product_of_hinges
from innerloop.compiler.neurons import LayerOperation, Neurons, Ramp
from innerloop.compiler.splines import Spline

_RELU = Piecewise((0.0,), (0.0, 1.0), (0.0, 0.0), (0.0,))


@dataclass
class Expansion:
    """Turns operations into neurons.

    Args:
        flags: The flag atoms.
        ramp: The width of the ramp that replaces a jump in a gate.
        step_ramp: The width of the ramp of a jump whose value is needed.
        resolution: The relative spacing of numbers in the target's precision.
        splines: What stands in for smooth functions.
        emulated: What stands in for products and gates where neurons cannot multiply.
    """

    flags: Flags
    ramp: float
    step_ramp: float
    resolution: float
    splines: Mapping[Atom, Spline] = field(default_factory=dict)
    emulated: Emulated = field(default_factory=Emulated)
    fuses: bool = False
    _bits: dict[tuple, Atom] = field(default_factory=dict)
    _relus: dict[tuple, Atom] = field(default_factory=dict)

    def expand(self, operations: Sequence[Operation]) -> list[LayerOperation]:
        """Heads as they are, everything else as neurons; no block reads another's bits."""
        self._bits = {}
        self._relus = {
            operation.base.key: operation.out
            for operation in operations
            if isinstance(operation, Apply) and operation.function.pieces == _RELU
        }
        fuses = self.fuses and not self.emulated.hinges
        fused = fused_products(operations) if fuses else {}
        expanded: list[LayerOperation] = []
        for operation in operations:
            match operation:
                case Head():
                    expanded.append(operation)
                case Apply():
                    expanded += self._apply(operation)
                case Product():
                    if self.emulated.hinges:
                        squares = self.emulated.squares(operation.out)
                        expanded += product_of_hinges(operation, squares, self.flags)
                    elif operation.out in fused:
                        expanded += self._fused(operation, fused[operation.out])
                    else:
                        expanded.append(_product(operation.out, operation.left, operation.right))
                case Gate():
                    expanded += self._gate(operation)
        return expanded

    def _apply(self, operation: Apply) -> list[Neurons]:
        if operation.out in self.splines:
            return self._spline(operation, self.splines[operation.out])
        pieces = operation.function.pieces
        assert pieces is not None, "smooth functions are interpolated before they are expanded"
        base, pieces = _facing(operation.base, pieces)
        made: list[Neurons] = []
        line = pieces.slopes[0], pieces.intercepts[0]
        if any(line):
            straight = base.scaled(line[0]) + self._ones(base, line[1])
            made.append(Neurons(operation.out, None, straight, eye(base.size), "straight part"))
        bends = hinges(pieces, self.step_ramp)
        if bends:
            gate = Form.stack([base - self._ones(base, t) for t, _ in bends])
            weights = matrix(sp.hstack([eye(base.size, base.size, c) for _, c in bends]))
            ramps = tuple(
                Ramp(base, t - self.step_ramp * bool(left), t + self.step_ramp * bool(right), t)
                for t, left, right in pieces.jumps()
            )
            made.append(Neurons(operation.out, gate, None, weights, operation.out.name, ramps))
        return made

    def _spline(self, operation: Apply, spline: Spline) -> list[Neurons]:
        base, out = operation.base, operation.out
        straight = base.scaled(spline.slope) + self._ones(base, spline.intercept)
        made = [Neurons(out, None, straight, eye(base.size), f"{out.name}, straight part")]
        if not spline.knots.size:
            return made
        count, every = spline.knots.size, eye(base.size)
        distance = base.mapped(matrix(sp.kron(np.full((count, 1), float(spline.facing)), every)))
        starts = np.repeat(-spline.facing * spline.knots, base.size)
        distance = distance + self.flags.constant(base.tokens, starts)
        beyond = (
            Ramp(base, -np.inf, spline.low, outside=True, rows=operation.rows),
            Ramp(base, spline.high, np.inf, outside=True, rows=operation.rows),
        )
        value, weights = None, matrix(sp.kron(spline.linear[None], every))
        if spline.quadratic.any():
            bends = distance.scaled(np.repeat(spline.quadratic, base.size))
            rises = self.flags.constant(base.tokens, np.repeat(spline.linear, base.size))
            value, weights = bends + rises, matrix(sp.kron(np.ones((1, count)), every))
        gate = distance
        made.append(Neurons(out, gate, value, weights, out.name, beyond))
        return made

    def _fused(self, operation: Product, fused: Fused) -> list[Neurons]:
        """`(sum_f A f(base) + rest) other`, its hinges multiplied one by one."""
        out, other, rest = operation.out, fused.other, fused.rest
        made = []
        for function, weights in fused.functions:
            pieces = function.function.pieces
            assert pieces is not None
            base, pieces = _facing(function.base, pieces)
            entries = sp.coo_array(weights)
            line = base.scaled(pieces.slopes[0]) + self._ones(base, pieces.intercepts[0])
            rest = rest + line.mapped(weights)
            for t, c in hinges(pieces, self.step_ramp):
                gate = (base - self._ones(base, t)).mapped(selection(entries.col, base.size))
                value = other.mapped(selection(entries.row, other.size))
                places = entries.row, np.arange(entries.nnz)
                spread = matrix((c * entries.data, places), (other.size, entries.nnz))
                made.append(Neurons(out, gate, value, spread, "product with a function"))
        return [*made, _product(out, rest, other)] if rest.terms else made

    def _ones(self, form: Form, value: float) -> Form:
        return self.flags.constant(form.tokens, [value] * form.size)

    def _gate(self, operation: Gate) -> list[Neurons]:
        base, source = operation.base, operation.out.source
        made = []
        identity = base.key, operation.knot
        if identity not in self._bits:
            bit = Atom("off", base.tokens, base.size, operation.out.replicated, source, large=True)
            relu = self._relus.get(base.key) if operation.knot == 0.0 else None
            from_input = self._is_off(bit, base, operation.knot)
            if relu is not None:
                from_relu = self._is_off(bit, Form.of(relu), operation.knot)
                from_input = replace(from_input, stored=from_relu)
            made.append(from_input)
            self._bits[identity] = bit
        off = Form.of(self._bits[identity])
        if self.emulated.hinges:
            (size,) = self.emulated.sizes[operation.out]
            return [*made, gate_of_hinges(operation, off, size)]
        open_gate = self._ones(base, 1.0) - off
        made.append(Neurons(operation.out, open_gate, operation.value, eye(base.size), "gate"))
        return made

    def _is_off(self, bit: Atom, base: Form, knot: float) -> Neurons:
        """Zero where `base` is beyond the ramp, at least two where it has not begun.

        At one a gate would be closed but for the rounding of what shared its coordinates.
        """
        width = self._width(knot)
        falling = self._ones(base, 2.0 + 2.0 * knot / width) - base.scaled(2.0 / width)
        ramp = Ramp(base, knot, knot + width, knot)
        return Neurons(bit, falling, None, eye(base.size), "is it off", (ramp,))

    def _width(self, knot: float) -> float:
        """The ramp's width, wide enough for the precision to tell it from the knot."""
        return max(self.ramp, 8.0 * self.resolution * abs(knot))


def _facing(base: Form, pieces: Piecewise) -> tuple[Form, Piecewise]:
    """The function turned round if it is zero on its right side only: then hinges are enough."""
    if (pieces.slopes[0] or pieces.intercepts[0]) and not (
        pieces.slopes[-1] or pieces.intercepts[-1]
    ):
        return base.scaled(-1.0), pieces.after_affine(-1.0, 0.0)
    return base, pieces


def _product(out: Atom, left: Form, right: Form) -> Neurons:
    weights = matrix(sp.hstack([eye(left.size), eye(left.size)]))
    gate = Form.stack([left, left.scaled(-1.0)])
    value = Form.stack([right, right.scaled(-1.0)])
    return Neurons(out, gate, value, weights, "product")


def hinges(pieces: Piecewise, ramp: float) -> list[tuple[float, float]]:
    """`(t, c)` with `f(x) = sum c relu(x - t)`, for a function that is zero on its left side."""
    made: dict[float, float] = {}

    def add(t: float, c: float) -> None:
        made[t] = made.get(t, 0.0) + c

    for i, t in enumerate(pieces.knots):
        add(t, pieces.slopes[i + 1] - pieces.slopes[i])
    for t, left, right in pieces.jumps():
        add(t - ramp, left / ramp)
        add(t, (right - left) / ramp)
        add(t + ramp, -right / ramp)
    return [(t, c) for t, c in sorted(made.items()) if c]
