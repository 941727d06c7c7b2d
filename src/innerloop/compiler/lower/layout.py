r"""Where a value is needed: settled, in every data token, or as rows on registers.

A pending function becomes neurons, a mask times a value becomes gates for its jumps,

    f(x) v = c(x) v + sum_k (jump of f at t_k) [x > t_k] v ,

and a local matrix is written out entry by entry. What is linear stays a form.
Axes: `a` rows and `b` columns of a shared matrix.
"""

import numpy as np

from innerloop.compiler.errors import Refused
from innerloop.compiler.forms import Atom, Form, matrix, selection
from innerloop.compiler.functions import Function, Piecewise
from innerloop.compiler.lower.shared import (
    Context,
    align,
    check_rows,
    is_replicated,
    mapped_terms,
    shared_from_rows,
    spread,
    static_form,
)
from innerloop.compiler.values import (
    Local,
    Masked,
    Outer,
    Pending,
    Shape,
    Shared,
    Shifted,
    Static,
    Term,
    Value,
    canonical,
    size,
)


def settle(value: Value, context: Context) -> Static | Local | Shared:
    """The value with nothing pending: statics, local forms and shared terms only."""
    match value:
        case Static(varying=True):
            return settle(clocked(value, context, tokens="register"), context)
        case Pending():
            form = _settled_function(value, context)
            if value.tokens == "data":
                return Local(form, value.shape)
            return shared_from_rows(form, value.shape, context)
        case Outer():
            return Local(_settled_outer(value, context), value.shape)
        case Masked():
            return gated(value, context)
        case Shifted():
            return _settled_sum(value, context)
        case Static() | Local() | Shared():
            return value
    raise TypeError(type(value))


def _settled_sum(value: Shifted, context: Context) -> Local | Shared:
    pending = settle(value.pending, context)
    if isinstance(value.rest, Local):
        assert isinstance(pending, Local)
        return Local(pending.form + value.rest.form, value.shape)
    assert isinstance(pending, Shared)
    return Shared(pending.terms + value.rest.terms, value.shape)


def _settled_function(value: Pending, context: Context) -> Form:
    """The form of a scalar function; its straight part is folded, only the rest needs neurons."""
    pieces = value.function.pieces
    if pieces is not None and pieces.is_affine:
        constant = context.flags.constant(value.tokens, [pieces.intercepts[0]] * value.base.size)
        return value.base.scaled(pieces.slopes[0]) + constant
    slope, offset = 0.0, 0.0
    if pieces is not None:
        side = 0 if not pieces.slopes[0] or pieces.slopes[-1] else -1
        slope, offset = pieces.slopes[side], pieces.intercepts[side]
    function = _minus_line(value.function, slope, offset)
    atom = context.graph.apply(
        value.base, function, source=context.source, replicated=value.replicated
    )
    straight = value.base.scaled(slope)
    return (
        Form.of(atom) + straight + context.flags.constant(value.tokens, [offset] * value.base.size)
    )


def _minus_line(function: Function, slope: float, offset: float) -> Function:
    """A piecewise-linear function without one of its straight parts."""
    pieces = function.pieces
    if pieces is None or not (slope or offset):
        return function
    line = Piecewise.affine(slope, offset)
    rest = Piecewise(
        pieces.knots,
        tuple(s - slope for s in pieces.slopes),
        tuple(b - offset for b in pieces.intercepts),
        tuple(v - float(line(np.float64(t))) for t, v in zip(pieces.knots, pieces.at, strict=True)),
    )
    return Function.exact(rest, function.name)


def _settled_outer(value: Outer, context: Context) -> Form:
    """A local matrix written out, entry by entry."""
    a, b = canonical(value.shape)
    if len(value.pairs) * a * b > 1 << 16:
        raise Refused(
            f"a token would have to hold a {a} x {b} matrix of products.",
            "Take the mean over the context first, or contract it with a vector.",
        )
    rows = selection(np.repeat(np.arange(a), b), a)
    columns = selection(np.tile(np.arange(b), a), b)
    total = Form.zero("data", a * b)
    for u, v in value.pairs:
        atom = context.graph.product(u.mapped(rows), v.mapped(columns), source=context.source)
        total = total + Form.of(atom)
    return total


def clocked(value: Static, context: Context, *, tokens: str) -> Pending:
    """A scalar that follows the step count, as a function of the clock."""
    table = value.array.reshape(value.array.shape[0], -1)
    if not (table == table[:, :1]).all():
        raise Refused(
            f"an array of shape {value.shape} changes from step to step by a rule of its own.",
            "Let schedules be scalars that multiply arrays.",
        )
    if tokens not in context.clocks:
        context.clocks[tokens] = Atom("clock", tokens, 1, tokens == "register")
    base = Form.of(context.clocks[tokens]).mapped(matrix(np.ones((size(value.shape), 1))))
    if tokens == "register":
        base = Form.of(context.clocks[tokens]).mapped(
            matrix(np.ones((canonical(value.shape)[1], 1)))
        )
    return Pending(base, _table(table[:, 0]), value.shape, tokens == "register")


def _table(values: np.ndarray) -> Function:
    """The function through `(t, values[t])`, straight in between and flat outside."""
    steps = np.arange(len(values), dtype=float)
    slopes = np.concatenate([[0.0], np.diff(values), [0.0]])
    intercepts = np.concatenate(
        [[values[0]], values[:-1] - slopes[1:-1] * steps[:-1], [values[-1]]]
    )
    pieces = Piecewise(tuple(steps), tuple(slopes), tuple(intercepts), tuple(values))
    return Function.exact(pieces.simplified(), "schedule")


def as_local(value: Value, shape: Shape, context: Context) -> Form:
    """Any value as a form of data tokens, broadcast from a scalar if it is one."""
    if isinstance(value, Static) and value.varying:
        value = clocked(value, context, tokens="data")
    value = settle(value, context)
    if isinstance(value, Static):
        value = Static(np.broadcast_to(value.array, shape))
        return context.flags.constant("data", value.array.astype(float).ravel())
    if isinstance(value, Shared):
        value = Local(spread(value, context), value.shape)
    assert isinstance(value, Local)
    if value.form.size != size(shape):
        return value.form.mapped(matrix(np.ones((size(shape), 1))))
    return value.form


def as_shared(value: Value, shape: Shape, context: Context) -> Shared:
    """A static, pending or shared value as shared terms, broadcast from a scalar if it is one."""
    value = settle(value, context)
    a, b = canonical(shape)
    if isinstance(value, Static):
        array = np.broadcast_to(np.asarray(value.array, float), shape).reshape(a, b)
        rows = context.flags.registers
        check_rows(a, context)
        padded = np.zeros((rows, b))
        padded[:a] = array
        if (array == array[:1]).all():
            padded[:] = array[0]
        left = selection(np.arange(a), rows)
        return Shared((Term(left, context.flags.name, matrix(padded)),), shape)
    assert isinstance(value, Shared)
    if canonical(value.shape) != (a, b):
        ones = matrix(np.ones((a, 1))), matrix(np.ones((1, b)))
        return Shared(mapped_terms(value.terms, *ones), shape)
    return Shared(value.terms, shape)


def row_form(value: Value, shape: Shape, context: Context) -> tuple[Form, bool]:
    """A shared value, broadcast to `shape`, as a form of registers: row `i` on register `i`.

    Returns:
        The form, with an entry for each column, and whether all registers agree.
    """
    value = settle(value, context)
    if isinstance(value, Static):
        form = static_form(value, context, tokens="register", shape=shape)
    else:
        assert isinstance(value, Shared)
        form = align(value, context)
        _, b = canonical(shape)
        if form.size != b:
            form = form.mapped(matrix(np.ones((b, 1))))
    return form, is_replicated(form, context)


def gated(masked: Masked, context: Context) -> Local | Shared:
    """The product as gates for the jumps and a product for what is continuous."""
    mask, value, shape = masked.mask, masked.value, masked.shape
    pieces = mask.function.pieces
    assert pieces is not None
    if isinstance(value, Local):
        form, alike = value.form, False
    else:
        form, alike = row_form(value, shape, context)
    graph, source, both = context.graph, context.source, mask.replicated and alike
    rest, steps = _without_jumps(pieces)
    if rest.is_affine and not rest.slopes[0]:
        total = form.scaled(rest.intercepts[0])
    else:
        smooth = Pending(mask.base, Function.exact(rest, "continuous"), shape, mask.replicated)
        settled = settle(smooth, context)
        left = settled.form if isinstance(settled, Local) else row_form(settled, shape, context)[0]
        total = Form.of(graph.product(left, form, source=source, replicated=both))
    for knot, left, right in steps:
        if right:
            above = graph.gate(mask.base, knot, form, source=source, replicated=both)
            total = total + Form.of(above).scaled(right)
        if left:
            turned = mask.base.scaled(-1.0)
            below = graph.gate(turned, -knot, form, source=source, replicated=both)
            total = total + (form - Form.of(below)).scaled(left)
    if isinstance(value, Local):
        return Local(total, shape)
    return shared_from_rows(total, shape, context)


def _without_jumps(pieces: Piecewise) -> tuple[Piecewise, list[tuple[float, float, float]]]:
    """A continuous function, and the jumps `(t, at - left, right - at)` that were taken out."""
    steps = pieces.jumps()
    lifts = np.zeros(len(pieces.slopes))
    for knot, left, right in steps:
        lifts[np.searchsorted(pieces.knots, knot, side="right") :] += left + right
    intercepts = tuple(float(b - lift) for b, lift in zip(pieces.intercepts, lifts, strict=True))
    at = tuple(pieces.slopes[i] * t + intercepts[i] for i, t in enumerate(pieces.knots))
    rest = Piecewise(pieces.knots, pieces.slopes, intercepts, at)
    if pieces.is_constant_by_piece:
        return Piecewise.affine(0.0, intercepts[0]), steps
    return rest.simplified(), steps
