r"""A learner's trace as three programs over atoms: initialisation, step, read-out.

Axes: `R` registers; `s` size of a form.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from innerloop.compiler.counts import COUNTED
from innerloop.compiler.errors import CompileError, Refusal
from innerloop.compiler.forms import Atom, Form
from innerloop.compiler.graph import Flags, Graph, Operation, Program
from innerloop.compiler.lower import Lowering
from innerloop.compiler.lower.layout import as_local, row_form
from innerloop.compiler.lower.shared import Context, NeedsRegisters
from innerloop.compiler.shifts import shift_cancels
from innerloop.compiler.states import State, place_state
from innerloop.compiler.trace import Leaf, Traced
from innerloop.compiler.values import Local, Unknown, Value, canonical, is_counted, is_local


@dataclass(frozen=True)
class Programs:
    """What the three parts of the transformer compute.

    Args:
        init: Writes the state before the first step.
        step: Writes the state after one step.
        read_out: Reads the prediction.
        state: Where the state is.
        clocks: The atoms that count steps.
    """

    init: Program
    step: Program
    read_out: Program
    state: State
    clocks: tuple[Atom, ...]

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Everything that any of the three computes."""
        return (*self.init.operations, *self.step.operations, *self.read_out.operations)

    def each(self, change: Callable[[Program], Program]) -> "Programs":
        """The same with each of the three changed."""
        init, step, read_out = (change(p) for p in (self.init, self.step, self.read_out))
        return replace(self, init=init, step=step, read_out=read_out)


def lower(traced: Traced, steps: int) -> Programs:
    """Lowers the three traces; starts again with more registers where a matrix needs them.

    Raises:
        CompileError: With every operation that has no lowering.
    """
    registers = 1
    while True:
        try:
            return _lowered(traced, steps, Flags(registers))
        except NeedsRegisters as needed:
            registers = needed.rows


def _lowered(traced: Traced, steps: int, flags: Flags) -> Programs:
    x, y = Atom("x", "data", traced.d), Atom("y", "data", traced.p)
    given: list[Value] = [Local(Form.of(x), (traced.d,)), Local(Form.of(y), (traced.p,))]
    start = Lowering(Context(Graph(flags), steps), traced.twins)
    begun = start.run(traced.init, given)
    for leaf in traced.shared:
        rows = canonical(leaf.shape)[0]
        if rows > flags.registers:
            raise NeedsRegisters(rows)
    state = place_state(traced, begun[: len(traced.shared)], steps, flags, x, y)

    cancels = shift_cancels(traced)
    step = Lowering(Context(Graph(flags), steps, shift_cancels=cancels), traced.twins)
    leaves = (*traced.shared, *traced.local)
    after = step.run(traced.step, [*state.values(leaves), *given])
    clocks = step.context.clocks
    context = Context(Graph(flags), steps + 1, clocks, shift_cancels=cancels)
    read = Lowering(context, traced.twins)
    prediction = read.run(traced.predict, [*state.values(leaves, after=True), given[0]])[0]

    refusals = [r for lowering in (start, step, read) for r in lowering.refusals]
    parts = (("init", begun), ("step", after), ("predict", [prediction]))
    refusals += [Refusal(part, "", *COUNTED) for part, out in parts if any(map(is_counted, out))]
    if refusals:
        raise CompileError(refusals, sum(lowering.total for lowering in (start, step, read)))

    writes = _new_state(state, leaves, after, step.context)
    output = as_local(prediction, (traced.p,), read.context)
    for clock in clocks.values():
        writes[clock] = Form.of(clock) + flags.constant(clock.tokens, [1.0])
    begins = _new_state(state, leaves, begun, start.context)
    init = Program("init", tuple(start.context.graph.operations), begins).needed()
    change = Program("step", tuple(step.context.graph.operations), writes).needed()
    used = [*init.operations, *read.context.graph.operations]
    if not used and not (steps and change.operations):
        output = _through_neurons(output, read.context)
    read_out = Program("read-out", tuple(read.context.graph.operations), {}, output).needed()
    return Programs(
        init,
        change,
        read_out,
        state,
        tuple(clocks.values()),
    )


def _through_neurons(form: Form, context: Context) -> Form:
    """`u` times one: a transformer has a layer even where a learner needs none."""
    ones = context.flags.constant("data", np.ones(form.size))
    return Form.of(context.graph.product(form, ones, source=""))


def _new_state(
    state: State, leaves: Sequence[Leaf], values: Sequence[Value], context: Context
) -> dict[Atom, Form]:
    """The form that each stored atom becomes."""
    writes = {}
    for stored, leaf, value in zip((*state.shared, *state.local), leaves, values, strict=True):
        if isinstance(stored, np.ndarray) or isinstance(value, Unknown):
            continue
        if stored.tokens == "data":
            writes[stored] = as_local(value, leaf.shape, context)
        else:
            if is_local(value):
                raise ValueError(
                    f"the shared state {leaf.name!r} depends on a single token. What is shared may "
                    "change only through reductions: use jax.lax.pmean(value, il.CONTEXT) or psum, "
                    "or return the value as local state."
                )
            writes[stored], _ = row_form(value, leaf.shape, context)
    return writes
