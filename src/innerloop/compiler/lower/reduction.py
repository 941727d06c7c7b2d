r"""What crosses tokens: sums and means over the context, and attention.

The axis size never reaches the weights. A sum divided by a multiple of it is a head that averages,
and any other use of it is refused.
"""

import numpy as np

from innerloop.compiler.counts import AXIS_SIZE, OTHER_SIZE
from innerloop.compiler.errors import Refused
from innerloop.compiler.forms import Form, eye
from innerloop.compiler.lower.layout import as_local
from innerloop.compiler.lower.shared import Context
from innerloop.compiler.lower.structure import moved
from innerloop.compiler.values import (
    Local,
    Outer,
    Reduction,
    Shared,
    Static,
    Term,
    Value,
    canonical,
    is_local,
)


def lower_sum(eqn, inputs: list[Value], context: Context) -> list[Value]:
    """`psum` over the context, of each operand; nothing is computed until something reads it."""
    if eqn.params.get("axis_index_groups") is not None:
        raise Refused("it reduces over groups of examples.", "Reduce over the whole context.")
    return [_summed_over_context(value, context) for value in inputs]


def _summed_over_context(value: Value, context: Context) -> Value:
    if not is_local(value):
        if isinstance(value, Static) and not value.varying:
            twin = value.array if value.twin is None else value.twin
            many, few = (np.asarray(a, float) for a in (value.array, twin))
            return Static(many * AXIS_SIZE, twin=few * OTHER_SIZE) if many.any() else value
        raise Refused(
            "a sum over the context of something all tokens share is a multiple of their number.",
            "Take jax.lax.pmean instead, or leave the reduction out.",
        )
    a, b = canonical(value.shape)
    if isinstance(value, Outer):
        terms = tuple(
            Term(eye(a), Reduction(u, v, False, context.source), eye(b)) for u, v in value.pairs
        )
        return Shared(terms, value.shape)
    form = as_local(value, value.shape, context)
    one = context.flags.constant("data", [1.0])
    if min(a, b) == 1:
        reduction = Reduction(form, one, False, context.source)
        return Shared((Term(eye(a), reduction, eye(1)),), value.shape)
    rows = []
    for i in range(a):
        row = moved(Local(form, value.shape), i * b + np.arange(b), context)
        picked = context.flags.constant("data", np.arange(a) == i)
        rows.append(Term(eye(a), Reduction(picked, as_local(row, (b,), context), False), eye(b)))
    return Shared(tuple(rows), value.shape)


def divided_by_count(value: Value) -> Value | None:
    """A sum over the context, divided by the axis size; None if the value is no such sum."""
    if not isinstance(value, Shared) or not value.terms:
        return None
    terms = []
    for term in value.terms:
        if not isinstance(term.body, Reduction) or term.body.mean:
            return None
        body = _mean_of(term.body)
        terms.append(Term(term.left, body, term.right, term.transposed))
    return Shared(tuple(terms), value.shape)


def _mean_of(reduction: Reduction) -> Reduction:
    return Reduction(reduction.u, reduction.v, True, reduction.source)


def lower_attend(eqn, inputs: list[Value], context: Context) -> list[Value]:
    """`il.attend`: one head with that kernel, from data tokens to data tokens."""
    query, key, value = (as_local(v, v.shape, context) for v in inputs)
    kernel = eqn.params["kernel"]
    atom = context.graph.head(
        query,
        key,
        value,
        kernel=kernel,
        mean=bool(eqn.params.get("mean", False)),
        label=f"{kernel.name} attention",
        source=context.source,
    )
    return [Local(Form.of(atom), inputs[2].shape)]
