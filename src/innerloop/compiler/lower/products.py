r"""Products: with constants (free), with a step function (a gate), of two variables (neurons).

    f(x) v = c v + sum_k (jump of f at t_k) [x > t_k] v          f flat between its jumps

A product whose factors vary along different axes stays an outer product.
"""

import numpy as np

from innerloop.compiler.forms import Form, Tokens, eye, matrix, selection
from innerloop.compiler.functions import Function
from innerloop.compiler.lower.layout import as_local, as_shared, clocked, row_form, settle
from innerloop.compiler.lower.shared import Context, mapped_terms, shared_from_rows
from innerloop.compiler.values import (
    Local,
    Masked,
    Outer,
    Pending,
    Shape,
    Shared,
    Shifted,
    Static,
    Value,
    canonical,
    size,
)


def negated(value: Value, context: Context) -> Value:
    """Minus the value."""
    return scaled(value, np.asarray(-1.0), value.shape, context)


def scaled(value: Value, factor: np.ndarray, shape: Shape, context: Context) -> Value:
    """The value times constants."""
    factor = np.asarray(factor, float)
    if isinstance(value, Static):
        return Static(np.asarray(value.array * factor), value.varying)
    if isinstance(value, Masked) and value.shape == shape and factor.size == 1:
        return _scaled_mask(value, float(factor.ravel()[0]))
    if isinstance(value, Pending | Masked | Shifted):
        value = settle(value, context)
    if not factor.any():
        return Static(np.zeros(shape))
    uniform = factor.size == 1 or (factor == factor.ravel()[0]).all()
    if isinstance(value, Outer):
        scaled_outer = _scaled_outer(value, factor, shape, uniform)
        if scaled_outer is not None:
            return scaled_outer
        value = settle(value, context)
    if isinstance(value, Local):
        form = as_local(value, shape, context)
        return Local(form.scaled(np.broadcast_to(factor, shape).ravel()), shape)
    assert isinstance(value, Shared)
    value = as_shared(value, shape, context)
    a, b = canonical(shape)
    if uniform:
        return Shared(mapped_terms(value.terms, eye(a, a, factor.ravel()[0]), eye(b)), shape)
    grid = np.broadcast_to(factor, shape).reshape(a, b)
    rows, columns = _separated(grid)
    if rows is not None and columns is not None:
        return Shared(
            mapped_terms(value.terms, matrix(np.diag(rows)), matrix(np.diag(columns))), shape
        )
    return multiplied(
        value, as_shared(Static(grid.reshape(shape)), shape, context), shape, "register", context
    )


def _scaled_mask(value: Masked, factor: float) -> Masked:
    mask = value.mask
    function = Function.of_operation(
        "mul", np.multiply, [mask.function, Function.affine(0.0, factor)]
    )
    return Masked(Pending(mask.base, function, mask.shape, mask.replicated), value.value)


def _separated(grid: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """`rows, columns` with `grid = rows columns^T`, if there are such vectors."""
    i, j = np.unravel_index(np.abs(grid).argmax(), grid.shape)
    rows, columns = grid[:, j] / grid[i, j], grid[i]
    if np.array_equal(np.outer(rows, columns), grid):
        return rows, columns
    return None, None


def _scaled_outer(value: Outer, factor: np.ndarray, shape: Shape, uniform: bool) -> Outer | None:
    if uniform:
        return Outer(tuple((u.scaled(factor.ravel()[0]), v) for u, v in value.pairs), shape)
    rows, columns = _separated(np.broadcast_to(factor, shape).reshape(canonical(shape)))
    if rows is None or columns is None:
        return None
    return Outer(tuple((u.scaled(rows), v.scaled(columns)) for u, v in value.pairs), shape)


def multiplied(a: Value, b: Value, shape: Shape, tokens: Tokens, context: Context) -> Value:
    """The entrywise product of two values that depend on the prompt or on the step."""
    for value, other in ((a, b), (b, a)):
        if isinstance(value, Static) and not value.varying:
            return scaled(other, value.array, shape, context)
    a, b = (_clocked(value, tokens, context) for value in (a, b))
    if isinstance(b, Outer) and not isinstance(a, Outer):
        a, b = b, a
    if isinstance(a, Outer):
        kept = _times_outer(a, b, shape, context)
        if kept is not None:
            return kept
    pending = [v for v in (a, b) if isinstance(v, Pending) and v.tokens == tokens]
    if pending:
        mask = next((v for v in pending if _jumps(v)), pending[0])
        return _masked(mask, b if mask is a else a, shape, tokens, context)
    if tokens == "data":
        left, right = (as_local(value, shape, context) for value in (a, b))
        if sum(s != 1 for s in shape) == 2:
            outer = _as_outer(left, right, shape)
            if outer is not None:
                return outer
        return Local(Form.of(context.graph.product(left, right, source=context.source)), shape)
    (left, one), (right, two) = (row_form(value, shape, context) for value in (a, b))
    atom = context.graph.product(left, right, source=context.source, replicated=one and two)
    return shared_from_rows(Form.of(atom), shape, context)


def _clocked(value: Value, tokens: Tokens, context: Context) -> Value:
    if isinstance(value, Static) and value.varying:
        return clocked(value, context, tokens=tokens)
    return value


def _jumps(value: Pending) -> bool:
    return bool(value.function.jumps())


def _masked(mask: Pending, other: Value, shape: Shape, tokens: Tokens, context: Context) -> Value:
    """A function times a value; functions of one variable are multiplied first."""
    if isinstance(other, Masked) and _same_variable(mask, other.mask) and other.shape == shape:
        both = Function.of_operation("mul", np.multiply, [mask.function, other.mask.function])
        if both.pieces is not None or other.mask.function.pieces is None:
            pending = Pending(mask.base, both, mask.shape, mask.replicated)
            return Masked(pending, other.value)
    return Masked(mask, _plain(other, shape, tokens, context))


def _plain(value: Value, shape: Shape, tokens: Tokens, context: Context) -> Local | Shared:
    if tokens == "data":
        return Local(as_local(value, shape, context), shape)
    return as_shared(value, shape, context)


def _same_variable(one: Pending, two: Pending) -> bool:
    return one.base.key == two.base.key and size(one.shape) == size(two.shape)


def chosen_factor(
    which: Pending, no: Value, yes: Value, shape: Shape, tokens: Tokens, context: Context
) -> Masked | None:
    """`where(c(s), g(s) v, h(s) v) = where(c, g, h)(s) v`, if it is of this form."""
    sides = []
    for value in (no, yes):
        if isinstance(value, Masked) and _same_variable(which, value.mask):
            sides.append((value.mask.function, value.value))
        else:
            sides.append((Function.affine(0.0, 1.0), _plain(value, shape, tokens, context)))
    (first, one), (second, two) = sides
    forms = [v.form if isinstance(v, Local) else row_form(v, shape, context)[0] for v in (one, two)]
    if forms[0].key != forms[1].key:
        return None
    factor = Function.of_operation(
        "select_n",
        lambda c, f, t: np.where(np.asarray(c) != 0, t, f),
        [which.function, first, second],
    )
    return Masked(Pending(which.base, factor, which.shape, which.replicated), one)


def _as_outer(left: Form, right: Form, shape: Shape) -> Outer | None:
    """`u v^T` where one factor is constant along the columns and the other along the rows."""
    a, b = canonical(shape)
    for first, second in ((left, right), (right, left)):
        down = selection(np.repeat(np.arange(a) * b, b), a * b)
        across = selection(np.tile(np.arange(b), a), a * b)
        if first.mapped(down).key == first.key and second.mapped(across).key == second.key:
            u = first.mapped(selection(np.arange(a) * b, a * b))
            v = second.mapped(selection(np.arange(b), a * b))
            return Outer(((u, v),), shape)
    return None


def _times_outer(outer: Outer, other: Value, shape: Shape, context: Context) -> Value | None:
    """An outer product times something that varies along one axis only, or along none."""
    a, b = canonical(shape)
    if isinstance(other, Outer) or canonical(outer.shape) != (a, b):
        return None
    if isinstance(other, Pending) and size(other.shape) == 1 and size(shape) > 1:
        base = (
            other.base.mapped(matrix(np.ones((a * b, 1)))) if other.tokens == "data" else other.base
        )
        other = (
            Pending(base, other.function, shape, other.replicated)
            if other.tokens == "data"
            else other
        )
    form = None
    if isinstance(other, Pending) and other.tokens == "data":
        probe = other.base
    else:
        probe = form = as_local(other, shape, context)
    for axis, picks in (
        (0, np.repeat(np.arange(a) * b, b)),
        (1, np.tile(np.arange(b), a)),
    ):
        if probe.mapped(selection(picks, a * b)).key != probe.key:
            continue
        keep = selection(np.arange(a) * b if axis == 0 else np.arange(b), a * b)
        along = (a,) if axis == 0 else (b,)
        narrow: Value
        if isinstance(other, Pending) and other.tokens == "data":
            narrow = Pending(other.base.mapped(keep), other.function, along)
        else:
            assert form is not None
            narrow = Local(form.mapped(keep), along)
        pairs = []
        for u, v in outer.pairs:
            grown = multiplied(narrow, Local(u if axis == 0 else v, along), along, "data", context)
            grown_form = as_local(grown, along, context)
            pairs.append((grown_form, v) if axis == 0 else (u, grown_form))
        return Outer(tuple(pairs), shape)
    return None
