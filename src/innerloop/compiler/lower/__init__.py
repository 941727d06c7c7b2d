r"""Lowering: from the equations of a trace to heads, gates, products and functions.

Each family of operations is a file; this one walks the trace, evaluates what is constant, and
collects refusals, so that a learner that cannot be compiled hears every reason at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from innerloop.collectives import COLLECTIVES, bodies_of, inner_jaxpr
from innerloop.compiler.counts import (
    COUNTED,
    Twins,
    multiple_of_count,
    multiple_of_inverse,
    number,
)
from innerloop.compiler.errors import Refusal, Refused
from innerloop.compiler.forms import eye, matrix
from innerloop.compiler.lower.contraction import lower_dot
from innerloop.compiler.lower.elementwise import (
    COMPARISONS,
    PIECEWISE,
    SMOOTH,
    chosen,
    lower_elementwise,
)
from innerloop.compiler.lower.extremes import lower_extreme
from innerloop.compiler.lower.layout import settle
from innerloop.compiler.lower.products import scaled
from innerloop.compiler.lower.reduction import (
    divided_by_count,
    lower_attend,
    lower_sum,
)
from innerloop.compiler.lower.shared import Context, mapped_terms, transposed
from innerloop.compiler.lower.structure import (
    MOVES,
    PLACINGS,
    linear_map,
    lower_concatenate,
    lower_move,
    lower_pad,
    lower_placed,
    lower_split,
    moved,
    summed,
)
from innerloop.compiler.sources import source_of
from innerloop.compiler.values import (
    Local,
    Shared,
    Static,
    Unknown,
    Value,
    canonical,
    is_counted,
)

Rule = Callable[[object, list[Value], Context], list[Value]]
_ARITHMETIC = (
    "add", "add_any", "sub", "mul", "neg", "div", "max", "min", "clamp", "and", "or", "select_n",
    "pow", "integer_pow", "square", "convert_element_type", "nextafter",
)  # fmt: skip


def _lower_reduce_sum(eqn, inputs: list[Value], context: Context) -> list[Value]:
    """A sum over axes of a token's own array, or of a shared one."""
    value = settle(inputs[0], context)
    shape = eqn.outvars[0].aval.shape
    if isinstance(value, Local):
        weights = linear_map(lambda v: eqn.primitive.bind(v, **eqn.params), value.shape)
        return [Local(value.form.mapped(weights), shape)]
    assert isinstance(value, Shared)
    axes = [axis for axis, length in enumerate(value.shape) if length != 1]
    a, b = canonical(value.shape)
    gone = [axis in eqn.params["axes"] for axis in axes] + [False, False]
    left = matrix(np.ones((1, a))) if gone[0] else eye(a)
    right = matrix(np.ones((b, 1))) if gone[1] else eye(b)
    terms = mapped_terms(value.terms, left, right)
    return [Shared(transposed(terms) if gone[0] and not gone[1] and b > 1 else terms, shape)]


def _lower_linear(eqn, inputs: list[Value], context: Context) -> list[Value]:
    """A linear operation within a token, read off a basis."""
    value = settle(inputs[0], context)
    if not isinstance(value, Local):
        raise Refused(
            f"`{eqn.primitive.name}` of something all tokens share has no lowering.",
            "Write it as a product with a constant matrix.",
        )
    weights = linear_map(lambda v: eqn.primitive.bind(v, **eqn.params), value.shape)
    return [Local(value.form.mapped(weights), eqn.outvars[0].aval.shape)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(MOVES, lower_move),
    **dict.fromkeys((*_ARITHMETIC, *SMOOTH, *PIECEWISE, *COMPARISONS), lower_elementwise),
    **dict.fromkeys(PLACINGS, lower_placed),
    "split": lower_split,
    "concatenate": lower_concatenate,
    "pad": lower_pad,
    "dot_general": lower_dot,
    "psum": lower_sum,
    "attend": lower_attend,
    "reduce_sum": _lower_reduce_sum,
    "cumsum": _lower_linear,
    "reduce_max": lower_extreme,
    "reduce_min": lower_extreme,
}

MOST_OPERATIONS = 20_000
"""The most operations of a loop; so many take about a minute."""
_BETWEEN_TOKENS = (*COLLECTIVES, "axis_index")
_RANDOM = ("random", "threefry", "rng")
_BY_CHANCE = (
    "it draws random numbers, and weights draw none: they are the same in every forward pass.",
    "Draw them before, and pass them as params or as columns of x.",
)
_INSTEAD = {
    "while": (
        "it repeats for as long as the data says.",
        "Use lax.fori_loop or lax.scan with a fixed number of repetitions.",
    ),
    "cond": (
        "it chooses between two programs by looking at the data.",
        "Use jnp.where, which computes both sides.",
    ),
    "sort": ("sorting is not a sum over tokens.", "Use max, min or a softmax."),
    "top_k": ("it picks entries by rank.", "Use max, min or a softmax."),
    "floor": ("it jumps at every integer.", "Use a fixed number of comparisons."),
    "ceil": ("it jumps at every integer.", "Use a fixed number of comparisons."),
    "round": ("it jumps at every half-integer.", "Use a fixed number of comparisons."),
    "rem": ("it jumps at every multiple.", "Use a fixed number of comparisons."),
    "conv_general_dilated": (
        "a convolution of parameters has no form as rows on registers.",
        "Write it as a matrix product over patches cut out with fixed slices.",
    ),
    "all_gather": ("it copies every token into every token.", "Use il.attend, psum or pmean."),
    "axis_index": ("tokens of a prompt have no order.", "Give each example what it needs as x."),
}


@dataclass
class Lowering:
    """Walks a trace and keeps what it cannot lower.

    Args:
        context: The operations so far.
        refusals: One for each operation without a lowering.
        total: How many operations were met.
        called_from: The line that called the function being walked, for code without its own.
        twins: The constants that depend on the number of context examples.
    """

    context: Context
    twins: Twins = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    total: int = 0
    called_from: str = ""

    def run(self, closed: ClosedJaxpr, inputs: Sequence[Value]) -> list[Value]:
        """The values of a jaxpr's outputs."""
        values: dict = {
            var: Static(number(const), twin=self.twins.get(id(var)))
            for var, const in zip(closed.jaxpr.constvars, closed.consts, strict=True)
        }
        values.update(zip(closed.jaxpr.invars, inputs, strict=True))

        def read(atom) -> Value:
            if not isinstance(atom, Literal):
                return values[atom]
            return Static(np.asarray(atom.val), twin=self.twins.get(id(atom)))

        for eqn in closed.jaxpr.eqns:
            values.update(
                zip(eqn.outvars, self._lower(eqn, [read(v) for v in eqn.invars]), strict=True)
            )
        return [read(v) for v in closed.jaxpr.outvars]

    def _lower(self, eqn, inputs: list[Value]) -> list[Value]:
        if (body := inner_jaxpr(eqn)) is not None:
            outer, self.called_from = self.called_from, source_of(eqn) or self.called_from
            values = self.run(body, inputs)
            self.called_from = outer
            return values
        name = eqn.primitive.name
        if name == "scan":
            return self._unrolled(eqn, inputs) if self._affords(eqn) else _unknown(eqn)
        self.total += 1
        source = source_of(eqn) or self.called_from
        self.context.source = source
        try:
            if any(isinstance(value, Unknown) for value in inputs):
                return _unknown(eqn)
            if name.startswith(_RANDOM):
                raise Refused(*_BY_CHANCE)
            if all(isinstance(v, Static) for v in inputs) and name not in _BETWEEN_TOKENS:
                return self._constant(eqn, inputs)
            return self._by_rule(eqn, inputs)
        except Refused as refused:
            self.refusals.append(Refusal(name, source, refused.reason, refused.instead))
            return _unknown(eqn)

    def _by_rule(self, eqn, inputs: list[Value]) -> list[Value]:
        name = eqn.primitive.name
        if name == "psum":
            return RULES[name](eqn, inputs, self.context)
        if any(is_counted(value) for value in inputs):
            return [self._mean(name, inputs)]
        if name == "cond" and isinstance(inputs[0], Static) and not inputs[0].varying:
            return self.run(eqn.params["branches"][int(inputs[0].array)], inputs[1:])
        if name == "cond" and isinstance(inputs[0], Static) and len(eqn.params["branches"]) == 2:
            no, yes = (self.run(branch, inputs[1:]) for branch in eqn.params["branches"])
            return [
                chosen(inputs[0], *pair, var.aval.shape, self.context)
                for pair, var in zip(zip(no, yes, strict=True), eqn.outvars, strict=True)
            ]
        if name not in RULES:
            reason, instead = _INSTEAD.get(
                name,
                (
                    "no lowering is known for it.",
                    "Write it with sums, products, max, min and where.",
                ),
            )
            raise Refused(reason, instead)
        return RULES[name](eqn, inputs, self.context)

    def _mean(self, name: str, inputs: list[Value]) -> Value:
        """A sum over the context, divided by a multiple of its number or times its inverse."""
        pairs = [inputs] if name == "div" else [inputs, inputs[::-1]] if name == "mul" else []
        for value, count in pairs:
            if isinstance(count, Static) and not count.varying:
                constant = (count.array, count.twin)
                times = multiple_of_inverse(*constant) if name == "mul" else None
                divisor = multiple_of_count(*constant) if name == "div" else None
                factor = times or (1.0 / divisor if divisor else None)
                mean = divided_by_count(value) if factor else None
                if mean is not None:
                    return scaled(mean, np.asarray(factor), value.shape, self.context)
        raise Refused(*COUNTED)

    def _constant(self, eqn, inputs: list[Value]) -> list[Value]:
        """An equation that no prompt changes, evaluated at once, or step by step."""
        statics = [value for value in inputs if isinstance(value, Static)]
        values = self._tabulated(eqn, statics, [value.array for value in statics])
        if all(value.twin is None for value in statics):
            return [*values]
        arrays = [value.array if value.twin is None else value.twin for value in statics]
        others = self._tabulated(eqn, statics, arrays)
        return [_with_twin(one, two) for one, two in zip(values, others, strict=True)]

    def _tabulated(self, eqn, statics: list[Static], arrays: list[np.ndarray]) -> list[Static]:
        if not any(value.varying for value in statics):
            return [Static(array) for array in _evaluated(eqn, arrays)]
        pairs = list(zip(statics, arrays, strict=True))
        rows = [
            _evaluated(eqn, [np.asarray(a[t]) if v.varying else a for v, a in pairs])
            for t in range(self.context.steps)
        ]
        return [step_values(np.stack(column)) for column in zip(*rows, strict=True)]

    def _affords(self, eqn) -> bool:
        """Whether a loop can be written out; refuses it where that would take too long."""
        operations = _written_out(eqn)
        if operations <= MOST_OPERATIONS:
            return True
        self.total += 1
        reason = (
            f"written out it has {operations:,} operations, each of which needs a place in a "
            f"layer, and at most {MOST_OPERATIONS:,} are taken on."
        )
        instead = (
            "Make each repetition a step of the learner, whose layers are looped, or repeat less "
            "often."
        )
        self.refusals.append(Refusal("scan", source_of(eqn) or self.called_from, reason, instead))
        return False

    def _unrolled(self, eqn, inputs: list[Value]) -> list[Value]:
        """A loop with a fixed number of repetitions, written out."""
        consts, carry = eqn.params["num_consts"], eqn.params["num_carry"]
        length, body = eqn.params["length"], eqn.params["jaxpr"]
        fixed, state = inputs[:consts], inputs[consts : consts + carry]
        sliced = inputs[consts + carry :]
        stacked: list[list[Value]] = [[] for _ in eqn.outvars[carry:]]
        order = range(length)[::-1] if eqn.params["reverse"] else range(length)
        for k in order:
            row = [self._entry(value, k) for value in sliced]
            out = self.run(body, [*fixed, *state, *row])
            state = out[:carry]
            for column, value in zip(stacked, out[carry:], strict=True):
                column.append(value)
        columns = [c[::-1] if eqn.params["reverse"] else c for c in stacked]
        collected = [
            _collected(column, var.aval.shape, self.context)
            for column, var in zip(columns, eqn.outvars[carry:], strict=True)
        ]
        return [*state, *collected]

    def _entry(self, value: Value, k: int) -> Value:
        if is_counted(value):
            self.refusals.append(Refusal("scan", self.context.source, *COUNTED))
        if isinstance(value, Unknown) or is_counted(value):
            return Unknown(value.shape[1:])
        positions = np.arange(np.prod(value.shape, dtype=int)).reshape(value.shape)
        return moved(value, positions[k], self.context)


def _unknown(eqn) -> list[Value]:
    return [Unknown(var.aval.shape) for var in eqn.outvars]


def _written_out(eqn) -> int:
    """How many operations an equation is, loops of fixed length written out."""
    inside = sum(_written_out(inner) for body in bodies_of(eqn) for inner in body.eqns)
    return max(inside, 1) * (eqn.params["length"] if eqn.primitive.name == "scan" else 1)


def _with_twin(one: Static, other: Static) -> Static:
    """A constant that knows its value for another number of context examples, if it differs."""
    a, b = one.array, other.array
    if np.array_equal(a, b, equal_nan=a.dtype.kind == "f" and b.dtype.kind == "f"):
        return one
    a, b = np.broadcast_arrays(a, b)
    return Static(a, one.varying or other.varying, b)


def _evaluated(eqn, arrays: list[np.ndarray]) -> list[np.ndarray]:
    typed = [jnp.asarray(a, v.aval.dtype) for a, v in zip(arrays, eqn.invars, strict=True)]
    out = eqn.primitive.bind(*typed, **eqn.params)
    return [np.asarray(o) for o in (out if eqn.primitive.multiple_results else [out])]


def step_values(table: np.ndarray) -> Static:
    """A constant with a leading axis of steps, or without one if all steps agree."""
    if len(table) and (table == table[:1]).all():
        return Static(np.asarray(table[0]))
    return Static(table, varying=True)


def _collected(column: list[Value], shape: tuple[int, ...], context: Context) -> Value:
    """What a loop stacks, entry after entry."""
    if any(isinstance(value, Unknown) for value in column) or not column:
        return Unknown(shape)
    width = int(np.prod(shape[1:], dtype=int))
    parts = []
    for k, value in enumerate(column):
        picks = np.full((shape[0], width), -1)
        picks[k] = np.arange(width)
        parts.append(moved(value, picks.reshape(shape), context))
    return summed(parts, shape, context)
