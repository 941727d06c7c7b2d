r"""Products of which one factor is a function that is not there yet: one half-layer, not two.

A ReGLU neuron multiplies what it rectifies, so the product with a piecewise-linear function needs
no function first:

    f(x) = a x + b + sum_k c_k relu(x - t_k)    f(x) v = (a x + b) v + sum_k c_k relu(x - t_k) v

It is taken only where it is ready sooner than the product that reads `f(x)`. The price is rounding:
where hinges cancel, far from the knots, `f(x)` is exactly zero and this is `eps |x - t| |v|`.
Axes: `s` size of a product, `a` size of an atom.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from innerloop.compiler.forms import Atom, Form, Matrix
from innerloop.compiler.graph import Apply, Gate, Head, Operation, Product

_MOST_KNOTS = 8


class Fused(NamedTuple):
    """A product `(sum_f A f(base) + rest) other`.

    Args:
        functions: Piecewise-linear functions without jumps, and their `A`, `(s, a)`.
        rest: The rest of that factor.
        other: The other factor.
    """

    functions: tuple[tuple[Apply, Matrix], ...]
    rest: Form
    other: Form


def fused_products(operations: Sequence[Operation]) -> dict[Atom, Fused]:
    """The products of one block that are ready sooner when they take a function in, by result."""
    applied = {o.out: o for o in operations if isinstance(o, Apply) and _is_short(o)}
    times: dict[Atom, int] = {}
    found: dict[Atom, Fused] = {}
    for operation in operations:
        times[operation.out] = _time(operation, times)
        if not isinstance(operation, Product):
            continue
        for fused in _candidates(operation, applied):
            bases = [function.base for function, _ in fused.functions]
            time = _after([fused.rest, fused.other, *bases], times, attention=False)
            if time < times[operation.out]:
                times[operation.out], found[operation.out] = time, fused
    return found


def _candidates(product: Product, applied: Mapping[Atom, Apply]) -> list[Fused]:
    """The functions in the left factor, and those in the right one."""
    made = []
    for factor, other in ((product.left, product.right), (product.right, product.left)):
        functions = tuple((applied[a], w) for a, w in factor.terms.items() if a in applied)
        if functions:
            kept = {a: w for a, w in factor.terms.items() if a not in applied}
            made.append(Fused(functions, Form(factor.tokens, factor.size, kept), other))
    return made


def _is_short(operation: Apply) -> bool:
    """Whether its function is a few hinges and has no jumps."""
    pieces = operation.function.pieces
    return pieces is not None and len(pieces.knots) <= _MOST_KNOTS and not pieces.jumps()


def _time(operation: Operation, times: Mapping[Atom, int]) -> int:
    """The half-layer in which a result can be ready; attention has the even ones."""
    if isinstance(operation, Gate):
        bit = _after([operation.base], times, attention=False)
        return max(bit + 2, _after([operation.value], times, attention=False))
    return _after(operation.reads, times, attention=isinstance(operation, Head))


def _after(forms: Sequence[Form], times: Mapping[Atom, int], *, attention: bool) -> int:
    time = 1 + max((times.get(atom, -1) for form in forms for atom in form.terms), default=-1)
    return time + ((time % 2 == 0) != attention)
