r"""The compiler's intermediate language: what a step computes, before anyone says in which layer.

    Head      out_i = c sum_j kernel(key_j, query_i) value_j           one attention head
    Apply     out   = f(base)                                          a function, elementwise
    Product   out   = left * right                                     elementwise
    Gate      out   = value where base > knot, else 0                  elementwise
    Write     state <- form                                            at the end of a step

Every operation makes one atom. Operations that would compute the same thing are one operation.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from innerloop.compiler.forms import Atom, Form, Tokens, dims, eye, matrix
from innerloop.compiler.functions import Function
from innerloop.kernels import Kernel

_SMALL = np.concatenate([-np.logspace(0, -15, 16), [0.0], np.logspace(-15, 0, 16)])
_LARGE = 100.0


@dataclass(frozen=True, eq=False)
class Head:
    """One attention head; `mean` divides by the number of context tokens, `sink` is read too.

    `largest` is the scale of its scores, for softmax heads that stand for it.
    """

    out: Atom
    query: Form
    key: Form
    value: Form
    mean: bool = False
    kernel: Kernel = Kernel("linear")
    computes: str = ""
    sink: bool = False
    largest: float = 1.0

    @property
    def reads(self) -> tuple[Form, ...]:
        """The forms it reads."""
        return self.query, self.key, self.value


@dataclass(frozen=True, eq=False)
class Apply:
    """A scalar function of each entry of a form; on registers, of the first `rows` of them."""

    out: Atom
    base: Form
    function: Function
    rows: int | None = None

    @property
    def reads(self) -> tuple[Form, ...]:
        """The forms it reads."""
        return (self.base,)


@dataclass(frozen=True, eq=False)
class Product:
    """The entrywise product of two forms."""

    out: Atom
    left: Form
    right: Form

    @property
    def reads(self) -> tuple[Form, ...]:
        """The forms it reads."""
        return self.left, self.right


@dataclass(frozen=True, eq=False)
class Gate:
    """`value` in the entries where `base > knot`, zero elsewhere."""

    out: Atom
    base: Form
    knot: float
    value: Form

    @property
    def reads(self) -> tuple[Form, ...]:
        """The forms it reads."""
        return self.base, self.value


Operation = Head | Apply | Product | Gate


@dataclass(frozen=True)
class Program:
    """What one part of the transformer does: the initialisation, a step, or the read-out.

    Args:
        block: Its name: `init`, `step` or `read-out`.
        operations: In an order in which each reads only what stands before it.
        writes: New values of the state, as forms.
        output: The prediction, or None.
    """

    block: str
    operations: tuple[Operation, ...]
    writes: dict[Atom, Form]
    output: Form | None = None

    def needed(self) -> "Program":
        """The same without operations that nothing reads, such as the value of the loss."""
        results = [*self.writes.values(), *([self.output] if self.output else [])]
        return replace(self, operations=tuple(needed(self.operations, results)))


@runtime_checkable
class Reader(Protocol):
    """Whatever makes one atom of some forms."""

    @property
    def out(self) -> Atom:
        """The atom it makes."""
        ...

    @property
    def reads(self) -> tuple[Form, ...]:
        """The forms it reads."""
        ...


R = TypeVar("R", bound=Reader)


def needed(operations: Sequence[R], results: Iterable[Form]) -> list[R]:
    """Without the operations that no result reads, directly or through others."""
    read = {atom for form in results for atom in form.terms}
    kept = []
    for operation in reversed(operations):
        if operation.out in read:
            kept.append(operation)
            read |= {atom for form in operation.reads for atom in form.terms}
    return kept[::-1]


def is_large(function: Function) -> bool:
    """Whether it makes large numbers of small ones, as `1 / (sqrt(x) + 1e-8)` does."""
    with np.errstate(all="ignore"):
        values = np.abs(np.asarray(function.evaluate(_SMALL), float))
    return bool(np.max(values[np.isfinite(values)], initial=0.0) > _LARGE)


@dataclass
class Flags:
    """The atoms that say what a token is: constants are read from them.

    Args:
        registers: How many register tokens there are.
    """

    registers: int
    one: Atom = field(init=False)
    name: Atom = field(init=False)

    def __post_init__(self):
        self.one = Atom("one", "data", 1)
        self.name = Atom("name", "register", self.registers)

    def constant(self, tokens: Tokens, values: Iterable[float] | np.ndarray) -> Form:
        """The vector `values` in every data token, or in every register token."""
        column = matrix(np.fromiter(values, float)[:, None])
        if tokens == "data":
            return Form("data", dims(column)[0], {self.one: column} if column.nnz else {})
        rows = matrix(column @ matrix([[1.0] * self.registers]))
        return Form("register", dims(column)[0], {self.name: rows} if rows.nnz else {})

    def row_names(self, rows: int) -> Form:
        """On register `i`, the one-hot vector of `i`, cut to `rows` entries."""
        return Form("register", rows, {self.name: eye(rows, self.registers)})

    def constant_part(self, form: Form) -> Form:
        """The part of a form that reads only flags."""
        flag = self.one if form.tokens == "data" else self.name
        kept = {a: w for a, w in form.terms.items() if a is flag}
        return Form(form.tokens, form.size, kept)


@dataclass
class Graph:
    """Collects operations, one for each distinct thing to compute."""

    flags: Flags
    operations: list[Operation] = field(default_factory=list)
    _seen: dict[Hashable, Atom] = field(default_factory=dict)

    def head(
        self,
        query: Form,
        key: Form,
        value: Form,
        *,
        label: str,
        source: str,
        mean: bool = False,
        kernel: Kernel = Kernel("linear"),  # noqa: B008 (frozen)
        replicated: bool = False,
    ) -> Atom:
        """The atom that a head writes in the tokens that `query` reads."""
        out = Atom(label, query.tokens, value.size, replicated, source)
        identity = ("head", query.key, key.key, value.key, mean, kernel)
        return self._once(identity, Head(out, query, key, value, mean, kernel, label))

    def apply(
        self,
        base: Form,
        function: Function,
        *,
        source: str,
        replicated: bool,
        rows: int | None = None,
    ) -> Atom:
        """The atom that holds a scalar function of `base`, on the first `rows` registers."""
        label = function.name or "f"
        out = Atom(label, base.tokens, base.size, replicated, source, is_large(function))
        identity = ("apply", base.key, function.key, rows)
        return self._once(identity, Apply(out, base, function, rows))

    def product(self, left: Form, right: Form, *, source: str, replicated: bool = False) -> Atom:
        """The atom that holds an entrywise product."""
        if right.key < left.key:
            left, right = right, left
        out = Atom("product", left.tokens, left.size, replicated, source)
        return self._once(("product", left.key, right.key), Product(out, left, right))

    def gate(
        self, base: Form, knot: float, value: Form, *, source: str, replicated: bool = False
    ) -> Atom:
        """The atom that holds `value` where `base > knot`."""
        out = Atom("gated", base.tokens, base.size, replicated, source)
        return self._once(("gate", base.key, knot, value.key), Gate(out, base, knot, value))

    def _once(self, identity: Hashable, operation: Operation) -> Atom:
        if identity not in self._seen:
            self._seen[identity] = operation.out
            self.operations.append(operation)
        return self._seen[identity]
