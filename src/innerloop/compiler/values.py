r"""Symbolic values: what the compiler knows of every variable of the trace.

    Static    the same number in every prompt, at every step or step by step
    Local     belongs to a data token: an affine form of its atoms
    Shared    the same in every token: sum_k P_k X_k Q_k, matrices stored a row a register token
    Pending   a scalar function of a form, not yet turned into neurons
    Masked    a pending function with jumps, times a value
    Shifted   a pending function plus a value
    Outer     a local matrix sum_k u_k v_k^T, never materialised before its mean

Linear operations only rewrite these; nothing is computed before something nonlinear asks for it.
Axes: `a` rows and `b` columns of a matrix, `registers` register tokens.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from innerloop.compiler.errors import Refused
from innerloop.compiler.forms import Atom, Form, Matrix, Tokens
from innerloop.compiler.functions import Function

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Static:
    """A value that no prompt changes; `varying` ones have a leading axis of steps.

    Args:
        array: The value.
        varying: Whether it has a leading axis of steps.
        twin: What it would be with another number of context examples, if that differs. No weight
            may depend on such a value; it may only turn a sum over the context into a mean.
    """

    array: np.ndarray
    varying: bool = False
    twin: np.ndarray | None = None

    @property
    def shape(self) -> Shape:
        """The shape at one step."""
        return self.array.shape[1:] if self.varying else self.array.shape


@dataclass(frozen=True, eq=False)
class Local:
    """A value of one data token, flattened into a form."""

    form: Form
    shape: Shape


@dataclass(frozen=True, eq=False)
class Reduction:
    """A reduction over the context, not yet computed by a head: `sum_j u_j v_j^T`, or its mean."""

    u: Form
    v: Form
    mean: bool
    source: str = ""


@dataclass(frozen=True, eq=False)
class Term:
    """`P X Q` or `P X^T Q`, with `X` an atom's rows over the registers, or a reduction."""

    left: Matrix
    body: Atom | Reduction
    right: Matrix
    transposed: bool = False


@dataclass(frozen=True, eq=False)
class Shared:
    """A matrix that every token agrees on; `shape` is what the trace sees."""

    terms: tuple[Term, ...]
    shape: Shape


@dataclass(frozen=True, eq=False)
class Pending:
    """A scalar function of each entry of `base`.

    In data tokens `base` has an entry for each entry of the value; on registers it has one for
    each column, and `replicated` says that all rows agree.
    """

    base: Form
    function: Function
    shape: Shape
    replicated: bool = False

    @property
    def tokens(self) -> Tokens:
        """Where it lives."""
        return self.base.tokens


@dataclass(frozen=True, eq=False)
class Outer:
    """A local matrix `sum_k u_k v_k^T`."""

    pairs: tuple[tuple[Form, Form], ...]
    shape: Shape


@dataclass(frozen=True, eq=False)
class Masked:
    """A function with jumps times a value, not yet turned into gates."""

    mask: Pending
    value: Local | Shared

    @property
    def shape(self) -> Shape:
        """The shape of the product."""
        return self.value.shape


@dataclass(frozen=True, eq=False)
class Shifted:
    """A pending function plus a value: `max(a, b) = b + relu(a - b)`, still comparable with `a`."""

    pending: Pending
    rest: Local | Shared

    @property
    def shape(self) -> Shape:
        """The shape of the sum."""
        return self.rest.shape


@dataclass(frozen=True, eq=False)
class Unknown:
    """What a refused operation would have returned."""

    shape: Shape = field(default=())


Value = Static | Local | Shared | Pending | Outer | Masked | Shifted | Unknown


def canonical(shape: Shape) -> tuple[int, int]:
    """Rows and columns of a shared value: axes of length one dropped, vectors as columns."""
    axes = [size for size in shape if size != 1]
    if len(axes) > 2:
        raise Refused(
            f"a shared array of shape {shape} has more than two axes; a register holds one row.",
            "Keep parameters and what is computed from them as matrices.",
        )
    return (axes[0] if axes else 1), (axes[1] if len(axes) == 2 else 1)


def size(shape: Shape) -> int:
    """Number of entries."""
    return math.prod(shape)


def is_counted(value: Value) -> bool:
    """Whether it is a constant that depends on the number of context examples."""
    return isinstance(value, Static) and value.twin is not None


def is_local(value: Value) -> bool:
    """Whether it belongs to one data token."""
    if isinstance(value, Masked):
        return isinstance(value.value, Local)
    if isinstance(value, Shifted):
        return isinstance(value.rest, Local)
    return isinstance(value, Local | Outer) or (
        isinstance(value, Pending) and value.tokens == "data"
    )
