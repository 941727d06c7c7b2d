r"""Neurons of one hidden layer, and where they are not exact.

Axes: `s` size of a form, `f` neurons.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from innerloop.compiler.forms import Atom, Form, Matrix, dims
from innerloop.compiler.graph import Head


@dataclass(frozen=True, eq=False)
class Ramp:
    """Where a group of neurons is not exact: `low < base < high`, except at the jump itself.

    Args:
        base: What is looked at.
        low: Where the interval begins.
        high: Where it ends.
        jump: The point in it at which the neurons are exact; NaN if there is none.
        outside: Whether the interval is what lies beyond the domain of a spline.
        rows: How many registers count; None for all tokens.
    """

    base: Form
    low: float
    high: float
    jump: float = float("nan")
    outside: bool = False
    rows: int | None = None


@dataclass(frozen=True, eq=False)
class Neurons:
    """A group of neurons: `out += weights (relu(gate) * value)`; `gate=None` passes `value` on.

    Args:
        out: The atom they write.
        gate: What is rectified; None for neurons that copy.
        value: What is multiplied; None for one.
        weights: From neurons to the atom.
        computes: For the anatomy.
        ramps: The ramps in which they are not exact.
        stored: The same neurons, reading a relu's output instead of its input.
    """

    out: Atom
    gate: Form | None
    value: Form | None
    weights: Matrix
    computes: str
    ramps: tuple[Ramp, ...] = ()
    stored: "Neurons | None" = None

    @property
    def reads(self) -> tuple[Form, ...]:
        """The forms it reads."""
        return tuple(form for form in (self.gate, self.value) if form is not None)

    @property
    def count(self) -> int:
        """How many neurons."""
        return dims(self.weights)[1]


LayerOperation = Head | Neurons


def rereading(operation: LayerOperation, change: Callable[[Form], Form]) -> LayerOperation:
    """The same head or neurons, with every form that they read changed."""
    if isinstance(operation, Head):
        query, key, value = map(change, operation.reads)
        return replace(operation, query=query, key=key, value=value)
    stored = operation.stored
    return replace(
        operation,
        gate=None if operation.gate is None else change(operation.gate),
        value=None if operation.value is None else change(operation.value),
        ramps=tuple(replace(ramp, base=change(ramp.base)) for ramp in operation.ramps),
        stored=None if stored is None else rereading(stored, change),
    )
