r"""Products and gates of plain ReLU neurons, for MLPs without a multiplication of their own.

    l r  =  a b ((l/a + r/b)^2 - (l/a - r/b)^2) / 4       squares as hinges:  error  a b h^2 / 16
    v where on, else 0  =  relu(v - M off) - relu(-v - M off)                        exact, |v| <= M

with `|l| <= a`, `|r| <= b`, hinges a distance `h` apart, and `off` zero where the gate is open and
at least one where it is closed. Balanced by `a` and `b`, both factors lose the same; where the gate
is open `M` is multiplied by zero, so it costs no accuracy however large it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from innerloop.compiler.certificate import PRODUCT, Approximation
from innerloop.compiler.errors import CompileError, Refusal
from innerloop.compiler.forms import Atom, Form, eye, matrix
from innerloop.compiler.graph import Flags, Gate, Operation, Product
from innerloop.compiler.neurons import Neurons, Ramp

_WIDER, _ROOMIER = 1.25, 1.001
_ROOM = 1e4
_MOST_HINGES = 4_000


@dataclass(frozen=True)
class Squares:
    """How a product becomes hinges.

    Args:
        left: The largest absolute value of one factor, `a`.
        right: Of the other, `b`.
        hinges: How many hinges make one half of a square.
    """

    left: float
    right: float
    hinges: int

    @property
    def spacing(self) -> float:
        """The distance of two hinges, where a square's argument goes up to two."""
        return 2.0 / self.hinges

    @property
    def error(self) -> float:
        """The largest error of the product."""
        return self.left * self.right * self.spacing**2 / 16

    def off(self, left: np.ndarray, right: np.ndarray, resolution: float) -> np.ndarray:
        """How far products of factors of at most these sizes may be off; infinite beyond range."""
        a, b = self.left, self.right
        rounding = resolution * (4.0 * self.hinges + 8.0) * 4.0 * a * b
        return np.where(left / a + right / b <= 2.0, self.error + rounding, np.inf)


def most_passed(size: float) -> float:
    """The largest value that a gate of hinges keeps out when it is closed, `M`."""
    return _ROOM * size or 1.0


def squares_for(
    operations: Iterable[Operation],
    sizes: Mapping[Atom, tuple[float, ...]],
    enclosures: Mapping[Atom, tuple[float, float]],
    tolerance: float,
) -> tuple[dict[Atom, Squares], tuple[Approximation, ...]]:
    """Hinges for each product, as many as the tolerance asks for.

    Args:
        operations: Among them the products.
        sizes: The largest absolute values of their factors on sample prompts.
        enclosures: The largest on every prompt, as far as they are known; used where they take no
            more neurons than a product may.
        tolerance: The largest error of a product, relative to its range where that is below one.

    Raises:
        CompileError: If a product would take too many neurons.
    """
    products = [o for o in operations if isinstance(o, Product)]
    found: dict[Atom, Squares] = {}
    stated, refusals = [], []
    for operation in products:
        out = operation.out
        a, b = (_ROOMIER * size or 1.0 for size in enclosures.get(out, (np.inf, np.inf)))
        hinges = _hinges(a, b, tolerance)
        proved = hinges <= _MOST_HINGES
        if not proved:
            a, b = (_WIDER * size or 1.0 for size in sizes.get(out, (0.0, 0.0)))
            hinges = _hinges(a, b, tolerance)
        if hinges > _MOST_HINGES:
            refusals.append(
                Refusal(
                    "a product",
                    out.source,
                    f"its factors reach {a:.3g} and {b:.3g} on the sample prompt, so that an error "
                    f"of {tolerance:.0e} would take {4 * hinges:.0f} ReLU neurons for each entry.",
                    "Compile with `mlp='reglu'`, in which products are exact, or raise "
                    "`tolerance`.",
                )
            )
            continue
        hinges = int(hinges)
        found[out] = Squares(a, b, hinges)
        stated.append(
            Approximation(
                PRODUCT,
                out.source,
                -a * b,
                a * b,
                found[out].error,
                4 * hinges,
                out.size,
                enclosed=proved,
            )
        )
    if refusals:
        raise CompileError(refusals, len(products))
    return found, tuple(stated)


def _hinges(left: float, right: float, tolerance: float) -> float:
    """How many hinges half a square needs; infinite where a factor is unbounded."""
    return float(np.ceil(np.sqrt(max(1.0, left * right) / tolerance) / 2))


def product_of_hinges(operation: Product, squares: Squares, flags: Flags) -> list[Neurons]:
    """The neurons of both squares."""
    size, h, k = operation.out.size, squares.spacing, squares.hinges
    starts = np.concatenate([h * np.arange(k)] * 2)
    facing = np.repeat([1.0, -1.0], k)
    bends = np.tile(np.append(h, np.full(k - 1, 2.0 * h)), 2)
    made = []
    for sign in (1.0, -1.0):
        z = operation.left.scaled(1.0 / squares.left)
        z = z + operation.right.scaled(sign / squares.right)
        gate = z.mapped(matrix(sp.kron(facing[:, None], eye(size))))
        gate = gate + flags.constant(z.tokens, np.repeat(-starts, size))
        share = sign * squares.left * squares.right / 4.0
        weights = matrix(sp.kron(share * bends[None], eye(size)))
        beyond = Ramp(z, -np.inf, -2.0, outside=True), Ramp(z, 2.0, np.inf, outside=True)
        made.append(Neurons(operation.out, gate, None, weights, "half a product", beyond))
    return made


def gate_of_hinges(operation: Gate, off: Form, size: float) -> Neurons:
    """The neurons that pass a value of at most `size` on where `off` is zero."""
    most = most_passed(size)
    value, closed = operation.value, off.scaled(most)
    gate = Form.stack([value - closed, value.scaled(-1.0) - closed])
    weights = matrix(sp.hstack([eye(value.size), eye(value.size, value.size, -1.0)]))
    beyond = Ramp(value, -np.inf, -most, outside=True), Ramp(value, most, np.inf, outside=True)
    return Neurons(operation.out, gate, None, weights, "gate", beyond)
