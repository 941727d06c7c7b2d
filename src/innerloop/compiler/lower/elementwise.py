r"""Elementwise operations.

Code of one variable is fused into a scalar function of it before anything becomes neurons. Where
two variables meet, the operation is reduced to sums, products, gates and functions of one variable:

    max(a, b) = relu(a - b) + b                 where(c, t, f) = f + c (t - f)
    a > b     = step(a - b)                     a / b          = a * reciprocal(b)
"""

from dataclasses import dataclass

import numpy as np

from innerloop.compiler.errors import Refused
from innerloop.compiler.forms import Form, Tokens, matrix
from innerloop.compiler.functions import Function
from innerloop.compiler.lower.layout import as_local, as_shared, clocked, row_form, settle
from innerloop.compiler.lower.numeric import numeric
from innerloop.compiler.lower.products import chosen_factor, multiplied, negated, scaled
from innerloop.compiler.lower.shared import Context
from innerloop.compiler.lower.structure import moved, summed
from innerloop.compiler.values import (
    Local,
    Pending,
    Shape,
    Shifted,
    Static,
    Value,
    is_local,
    size,
)

SMOOTH = (
    "tanh", "logistic", "exp", "exp2", "log", "log1p", "expm1", "sqrt", "rsqrt", "cbrt", "sin",
    "cos", "tan", "erf", "erfc", "erf_inv", "asinh", "atan", "sinh", "cosh", "lgamma", "digamma",
)  # fmt: skip
PIECEWISE = ("abs", "sign", "not")
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")


@dataclass(frozen=True)
class Unary:
    """An operand as a function of one variable; a constant has no variable."""

    base: Form | None
    function: Function
    replicated: bool = True


def of_one_variable(value: Value, shape: Shape, tokens: Tokens, context: Context) -> Unary | None:
    """The operand as a scalar function of a form, or None if it is a constant array."""
    if isinstance(value, Static) and not value.varying:
        entries = np.unique(np.asarray(value.array, float))
        if entries.size == 1:
            return Unary(None, Function.affine(0.0, float(entries[0])))
        return None
    if isinstance(value, Static):
        value = clocked(value, context, tokens=tokens)
    if isinstance(value, Pending) and value.tokens == tokens:
        base = value.base
        if value.shape != shape and size(value.shape) == 1:
            columns = size(shape) if tokens == "data" else _columns(shape)
            base = base.mapped(matrix(np.ones((columns, 1))))
        return Unary(base, value.function, value.replicated)
    if tokens == "data":
        form, replicated = as_local(value, shape, context), False
    else:
        form, replicated = row_form(value, shape, context)
    base, slope, offset = standardised(form, context)
    return Unary(base, Function.affine(slope, offset), replicated)


def _columns(shape: Shape) -> int:
    axes = [s for s in shape if s != 1]
    return axes[1] if len(axes) == 2 else 1


def standardised(form: Form, context: Context) -> tuple[Form, float, float]:
    """`form = slope * base + offset`, so that proportional forms share their base."""
    constant = context.flags.constant_part(form)
    offset = 0.0
    entries = [weights.toarray() for weights in constant.terms.values()]
    if entries and (entries[0] == entries[0].ravel()[0]).all():
        offset = float(entries[0].ravel()[0])
        form = Form(
            form.tokens, form.size, {a: w for a, w in form.terms.items() if a not in constant.terms}
        )
    first = min(form.terms, key=lambda atom: atom.serial, default=None)
    if first is None:
        return form, 1.0, offset
    slope = float(form.terms[first].data[0])
    return form.scaled(1.0 / slope), slope, offset


def fused(eqn, operands: list[Unary], shape: Shape) -> Pending | None:
    """The operation as one function, if all operands are functions of the same variable."""
    bases = [unary.base for unary in operands if unary.base is not None]
    if not bases or len({base.key for base in bases}) != 1:
        return None
    function = Function.of_operation(
        eqn.primitive.name,
        numeric(eqn),
        [unary.function for unary in operands],
        str(sorted((k, str(v)) for k, v in eqn.params.items())),
    )
    replicated = all(unary.replicated for unary in operands if unary.base is not None)
    return Pending(bases[0], function, shape, replicated)


def where_it_lives(inputs: list[Value]) -> Tokens:
    """Data tokens if any operand is local, registers otherwise."""
    return "data" if any(is_local(value) for value in inputs) else "register"


def lower_elementwise(eqn, inputs: list[Value], context: Context) -> list[Value]:
    """Any elementwise primitive."""
    shape, name = eqn.outvars[0].aval.shape, eqn.primitive.name
    if name == "convert_element_type" and _cuts_to_integers(eqn):
        raise Refused(
            "it cuts a number that depends on the data to an integer.",
            "Keep it a floating-point number, and compare it instead.",
        )
    inputs = [_widened(value, shape, context) for value in inputs]
    linear = _linear(name, inputs, shape, context)
    if linear is not None:
        return [linear]
    tokens = where_it_lives(inputs)
    if name == "div" and isinstance(inputs[1], Static) and inputs[1].varying:
        return [_reduced(eqn, inputs, shape, tokens, context)]
    operands = [of_one_variable(value, shape, tokens, context) for value in inputs]
    known = [unary for unary in operands if unary is not None]
    pending = fused(eqn, known, shape) if len(known) == len(operands) else None
    exact_product = (
        name in ("mul", "integer_pow", "square")
        and pending is not None
        and pending.function.pieces is None
        and pending.function.coefficients is None
        and all(unary.function.pieces is not None for unary in known)
    )
    if pending is not None and not exact_product:
        return [pending]
    return [_reduced(eqn, inputs, shape, tokens, context)]


def _cuts_to_integers(eqn) -> bool:
    old, new = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
    return bool(np.issubdtype(old, np.floating) and np.issubdtype(new, np.integer))


def _widened(value: Value, shape: Shape, context: Context) -> Value:
    """The value with its axes of length one stretched; scalars stay scalars."""
    if value.shape == shape or size(value.shape) == 1:
        return value
    positions = np.arange(size(value.shape)).reshape(value.shape)
    return moved(value, np.broadcast_to(positions, shape), context)


def _linear(name: str, inputs: list[Value], shape: Shape, context: Context) -> Value | None:
    """Sums and products with constants, where no operand is waiting to be fused."""
    if any(isinstance(v, Pending) or (isinstance(v, Static) and v.varying) for v in inputs):
        return None
    match name:
        case "add" | "add_any":
            return summed(inputs, shape, context)
        case "sub":
            return summed([inputs[0], negated(inputs[1], context)], shape, context)
        case "neg":
            return negated(inputs[0], context)
        case "mul":
            for value, other in (inputs, inputs[::-1]):
                if isinstance(other, Static):
                    return scaled(value, other.array, shape, context)
        case "div" if isinstance(inputs[1], Static):
            factor = np.asarray(1.0 / np.asarray(inputs[1].array, float))
            return scaled(inputs[0], factor, shape, context)
        case "convert_element_type" | "copy" | "stop_gradient":
            return inputs[0]
    return None


def _reduced(eqn, inputs: list[Value], shape: Shape, tokens: Tokens, context: Context) -> Value:
    """An operation of several variables, by sums, products and functions of one."""
    name = eqn.primitive.name
    first, second = inputs[0], inputs[-1]
    match name:
        case "add" | "add_any":
            return summed([_flat(v, tokens, context) for v in inputs], shape, context)
        case "sub":
            minus = negated(_flat(second, tokens, context), context)
            return summed([_flat(first, tokens, context), minus], shape, context)
        case "mul":
            return multiplied(first, second, shape, tokens, context)
        case "square":
            return multiplied(first, first, shape, tokens, context)
        case "integer_pow":
            return _power(first, eqn.params["y"], shape, tokens, context)
        case "div" if isinstance(second, Static):
            reciprocals = np.asarray(1.0 / np.asarray(second.array, float))
            inverse = Static(reciprocals, second.varying)
            return multiplied(first, inverse, shape, tokens, context)
        case "div":
            own = second.shape if size(second.shape) == 1 else shape
            reciprocal = _of_one(_reciprocal(), second, own, tokens, context)
            return multiplied(first, reciprocal, shape, tokens, context)
        case "max" | "min":
            return extreme(name, first, second, shape, tokens, context)
        case "clamp":
            low, value, high = inputs
            raised = extreme("max", value, low, shape, tokens, context)
            return extreme("min", raised, high, shape, tokens, context)
        case "and":
            return multiplied(first, second, shape, tokens, context)
        case "or":
            both = multiplied(first, second, shape, tokens, context)
            return summed([first, second, negated(both, context)], shape, context)
        case "select_n" if len(inputs) == 3:
            which, no, yes = inputs
            return _chosen(which, no, yes, shape, tokens, context)
        case "pow":
            logarithm = _of_one(
                Function(np.log, None, (0.0,), "log", "log"), first, shape, tokens, context
            )
            exponent = multiplied(second, logarithm, shape, tokens, context)
            return _of_one(
                Function(np.exp, None, (), "exp", "exp"), exponent, shape, tokens, context
            )
    if name in COMPARISONS:
        difference = _compared(first, second, shape, tokens, context)
        unary = of_one_variable(difference, shape, tokens, context)
        assert unary is not None and unary.base is not None
        compared = [unary.function, Function.affine(0.0, 0.0)]
        step = Function.of_operation(name, numeric(eqn), compared)
        return Pending(unary.base, step, shape, unary.replicated)
    raise Refused(
        f"`{name}` of several variables has no lowering.",
        "Write it with sums, products, max, min, where and functions of one variable.",
    )


def _flat(value: Value, tokens: Tokens, context: Context) -> Value:
    """The value with nothing pending, where it is needed."""
    if isinstance(value, Static) and value.varying:
        value = clocked(value, context, tokens=tokens)
    return settle(value, context)


def minus(a: Value, b: Value, shape: Shape, tokens: Tokens, context: Context) -> Value:
    """`a - b`, nothing pending."""
    return summed(
        [_flat(a, tokens, context), negated(_flat(b, tokens, context), context)], shape, context
    )


def _of_one(
    function: Function, value: Value, shape: Shape, tokens: Tokens, context: Context
) -> Value:
    """A function of one value, fused with what is pending in it."""
    unary = of_one_variable(value, shape, tokens, context)
    if unary is None:
        assert isinstance(value, Static)
        return Static(np.broadcast_to(function.evaluate(np.asarray(value.array, float)), shape))
    if unary.base is None:
        return Static(np.full(shape, function.evaluate(unary.function.evaluate(np.zeros(())))))
    return Pending(unary.base, _composed(function, unary.function), shape, unary.replicated)


def _composed(outer: Function, inner: Function) -> Function:
    """`outer(inner(x))`, exact where `inner` is a line and `outer` piecewise linear."""
    if outer.pieces is not None and inner.pieces is not None and inner.pieces.is_affine:
        slope, offset = inner.pieces.slopes[0], inner.pieces.intercepts[0]
        if slope == 0:
            return Function.affine(0.0, float(outer.evaluate(np.asarray(offset))))
        return Function.exact(outer.pieces.after_affine(slope, offset), outer.name)
    if outer.pieces is not None and outer.pieces.is_affine:
        slope, offset = outer.pieces.slopes[0], outer.pieces.intercepts[0]
        scaled_inner = Function.of_operation(
            "mul", np.multiply, [inner, Function.affine(0.0, slope)]
        )
        return Function.of_operation("add", np.add, [scaled_inner, Function.affine(0.0, offset)])
    return Function.of_operation(outer.name, outer.evaluate, [inner], str(outer.key))


def _reciprocal() -> Function:
    return Function(lambda x: 1.0 / x, None, (0.0,), "reciprocal", "reciprocal")


def _power(value: Value, n: int, shape: Shape, tokens: Tokens, context: Context) -> Value:
    """An integer power, by squaring."""
    if n < 0:
        return _power(
            _of_one(_reciprocal(), value, shape, tokens, context), -n, shape, tokens, context
        )
    if n == 0:
        return Static(np.ones(shape))
    half = value if n == 1 else _power(value, n // 2, shape, tokens, context)
    if n == 1:
        return value
    square = multiplied(half, half, shape, tokens, context)
    return multiplied(square, value, shape, tokens, context) if n % 2 else square


def extreme(name: str, a: Value, b: Value, shape: Shape, tokens: Tokens, context: Context) -> Value:
    """`max(a, b) = b + relu(a - b)`, `min(a, b) = b - relu(b - a)`."""
    sign = 1.0 if name == "max" else -1.0
    b = _flat(b, tokens, context)
    above = scaled(minus(a, b, shape, tokens, context), np.asarray(sign), shape, context)
    relu = Function.of_operation(
        "max", np.maximum, [Function.affine(1.0), Function.affine(0.0, 0.0)]
    )
    over = _of_one(relu, above, shape, tokens, context)
    if isinstance(over, Static):
        return summed([b, scaled(over, np.asarray(sign), shape, context)], shape, context)
    assert isinstance(over, Pending)
    pieces = over.function.pieces
    assert pieces is not None
    turned = Function.of_operation("mul", np.multiply, [over.function, Function.affine(0.0, sign)])
    rest = (
        Local(as_local(b, shape, context), shape)
        if tokens == "data"
        else as_shared(b, shape, context)
    )
    return Shifted(Pending(over.base, turned, shape, over.replicated), rest)


def _compared(a: Value, b: Value, shape: Shape, tokens: Tokens, context: Context) -> Value:
    """`a - b`; a function of one form even if one is `max` or `min` of the other and a third."""
    for sign, one, other in ((-1.0, a, b), (1.0, b, a)):
        if isinstance(other, Shifted) and not isinstance(one, Shifted):
            rest = minus(one, other.rest, shape, tokens, context)
            unary = of_one_variable(rest, shape, tokens, context)
            if unary is not None and unary.base is not None:
                if unary.base.key == other.pending.base.key:
                    ends = [unary.function, other.pending.function]
                    function = Function.of_operation(
                        "sub", np.subtract, ends if sign < 0 else ends[::-1]
                    )
                    return Pending(unary.base, function, shape, unary.replicated)
    return minus(a, b, shape, tokens, context)


def chosen(which: Value, no: Value, yes: Value, shape: Shape, context: Context) -> Value:
    """`where(which, yes, no)` of values that may be static, step by step too."""
    tokens = where_it_lives([no, yes])
    if isinstance(no, Static) and isinstance(yes, Static):
        assert isinstance(which, Static)
        rows = [v.array if v.varying else v.array[None] for v in (which, no, yes)]
        flags = rows[0].reshape(-1, *(1,) * len(shape))
        return Static(np.where(flags != 0, rows[2], rows[1]), varying=True)
    return _chosen(which, no, yes, shape, tokens, context)


def _is_zero(value: Value) -> bool:
    return isinstance(value, Static) and not value.array.any()


def _chosen(
    which: Value, no: Value, yes: Value, shape: Shape, tokens: Tokens, context: Context
) -> Value:
    """`where(which, yes, no) = no + which (yes - no)`."""
    if isinstance(which, Static) and not which.varying:
        mask = np.broadcast_to(np.asarray(which.array, float), shape)
        kept = scaled(_flat(no, tokens, context), 1.0 - mask, shape, context)
        return summed(
            [scaled(_flat(yes, tokens, context), mask, shape, context), kept], shape, context
        )
    if _is_zero(no):
        return multiplied(which, yes, shape, tokens, context)
    if _is_zero(yes):
        denied = Function.of_operation(
            "sub", np.subtract, [Function.affine(0.0, 1.0), Function.affine(1.0)]
        )
        return multiplied(
            _of_one(denied, which, shape, tokens, context), no, shape, tokens, context
        )
    if isinstance(which, Pending) and which.tokens == tokens:
        chosen = chosen_factor(which, no, yes, shape, tokens, context)
        if chosen is not None:
            return chosen
    difference = minus(yes, no, shape, tokens, context)
    picked = settle(multiplied(which, difference, shape, tokens, context), context)
    return summed([_flat(no, tokens, context), picked], shape, context)
