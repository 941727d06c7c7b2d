r"""Where a value is needed: settled, in every data token, or as rows on registers.

A pending function becomes neurons, a mask times a value becomes gates for its jumps,

    f(x) v = c(x) v + sum_k (jump of f at t_k) [x > t_k] v ,

and a local matrix is written out entry by entry. What is linear stays a form.
Axes: `a` rows and `b` columns of a shared matrix.
"""

import numpy as np

from innerloop.compiler.errors import Refused
from innerloop.compiler.forms import Atom, Form, Tokens, matrix, selection
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

_MOST_COEFFICIENTS = 5
_LINE = 2.0**-51
"""How far, relative to its largest value, a schedule may be from a line that stands for it."""


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
    if pieces is None and value.function.jumps():
        return _settled_with_jumps(value, context)
    if pieces is not None and pieces.is_affine:
        constant = context.flags.constant(value.tokens, [pieces.intercepts[0]] * value.base.size)
        return value.base.scaled(pieces.slopes[0]) + constant
    coefficients = value.function.coefficients
    if pieces is None and coefficients is not None and len(coefficients) <= _MOST_COEFFICIENTS:
        return _evaluated_polynomial(value, coefficients, context)
    slope, offset = 0.0, 0.0
    if pieces is not None:
        side = 0 if not pieces.slopes[0] or pieces.slopes[-1] else -1
        slope, offset = pieces.slopes[side], pieces.intercepts[side]
    function = _minus_line(value.function, slope, offset)
    rows = None
    if value.tokens == "register" and not value.replicated:
        rows = canonical(value.shape)[0]
    atom = context.graph.apply(
        value.base, function, source=context.source, replicated=value.replicated, rows=rows
    )
    straight = value.base.scaled(slope)
    return (
        Form.of(atom) + straight + context.flags.constant(value.tokens, [offset] * value.base.size)
    )


def _settled_with_jumps(value: Pending, context: Context) -> Form:
    """A smooth function plus the steps that are its jumps."""
    rest, steps = value.function.without_jumps()
    knots = tuple(t for t, _, _ in steps)
    heights = np.cumsum([0.0, *(left + right for _, left, right in steps)])
    at = tuple(float(h + left) for h, (_, left, _) in zip(heights, steps, strict=False))
    staircase = Piecewise(knots, (0.0,) * len(heights), tuple(map(float, heights)), at)
    parts = [rest, Function.exact(staircase, "jumps")]
    forms = [
        _settled_function(Pending(value.base, f, value.shape, value.replicated), context)
        for f in parts
    ]
    return forms[0] + forms[1]


def _evaluated_polynomial(
    value: Pending, coefficients: tuple[float, ...], context: Context
) -> Form:
    """Horner's rule, one exact product for each degree beyond the first."""

    def constant(number: float) -> Form:
        return context.flags.constant(value.tokens, [number] * value.base.size)

    total = value.base.scaled(coefficients[-1]) + constant(coefficients[-2])
    for coefficient in coefficients[-3::-1]:
        atom = context.graph.product(
            total, value.base, source=context.source, replicated=value.replicated
        )
        total = Form.of(atom) + constant(coefficient)
    return total


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


def clocked(value: Static, context: Context, *, tokens: Tokens) -> Pending:
    """A scalar that follows the step count, as a function of the clock."""
    table = np.nan_to_num(value.array.reshape(value.array.shape[0], -1).astype(float))
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
    """The function through `(t, values[t])`: a line if it is one, else flat beyond both ends."""
    steps = np.arange(len(values), dtype=float)
    rise = (values[-1] - values[0]) / max(1, len(values) - 1)
    if (np.abs(values[0] + rise * steps - values) <= _LINE * np.abs(values).max()).all():
        return Function.affine(float(rise), float(values[0]))
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
    """A function times a value: gates for the jumps, a product for what is continuous."""
    mask, value, shape = masked.mask, masked.value, masked.shape
    if isinstance(value, Local):
        form, alike = value.form, False
    else:
        form, alike = row_form(value, shape, context)
    both = mask.replicated and alike
    rest, steps = mask.function.without_jumps()
    total = _continuous_part(mask, rest, form, both, context)
    base = mask.base
    if steps and base.size != form.size:
        base = base.mapped(matrix(np.ones((form.size, 1))))
    for knot, left, right in steps:
        if right:
            above = context.graph.gate(base, knot, form, source=context.source, replicated=both)
            total = total + Form.of(above).scaled(right)
        if left:
            turned = base.scaled(-1.0)
            below = context.graph.gate(turned, -knot, form, source=context.source, replicated=both)
            total = total + (form - Form.of(below)).scaled(left)
    if isinstance(value, Local):
        return Local(total, shape)
    return shared_from_rows(total, shape, context)


def _continuous_part(
    mask: Pending, rest: Function, form: Form, replicated: bool, context: Context
) -> Form:
    """The product with a function that has no jumps."""
    pieces = rest.pieces
    if pieces is not None and pieces.is_affine and not pieces.slopes[0]:
        return form.scaled(pieces.intercepts[0])
    settled = settle(Pending(mask.base, rest, mask.shape, mask.replicated), context)
    if isinstance(settled, Local):
        factor = settled.form
    else:
        factor, _ = row_form(settled, mask.shape, context)
    if factor.size != form.size:
        factor = factor.mapped(matrix(np.ones((form.size, 1))))
    atom = context.graph.product(factor, form, source=context.source, replicated=replicated)
    return Form.of(atom)
