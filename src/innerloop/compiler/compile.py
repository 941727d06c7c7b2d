r"""From a learner to a transformer, pass by pass.

trace -> lower -> (dual, copies) -> stand-ins -> neurons -> (ahead, gated heads)
      -> wire -> schedule -> allocate -> assemble

Each pass is a pure function between immutable values, in the file of its name.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import jax
import numpy as np

from innerloop.compiler.ahead import ahead
from innerloop.compiler.allocate import Subspace, allocate, lasting
from innerloop.compiler.anatomy import anatomy_of
from innerloop.compiler.assemble import Ramps, assemble, rows_of
from innerloop.compiler.box import Box
from innerloop.compiler.certificate import Certificate, Scores
from innerloop.compiler.compiled import Compiled, Sections
from innerloop.compiler.emulation import Softmax, by_relu, by_softmax
from innerloop.compiler.forms import Atom
from innerloop.compiler.gated_heads import gated_heads
from innerloop.compiler.graph import Apply, Gate, Head
from innerloop.compiler.lowered import lowered_for
from innerloop.compiler.planning import expanded, planned
from innerloop.compiler.programs import Programs
from innerloop.compiler.proofs import RAMPS, SampleBounds, sample_bounds
from innerloop.compiler.schedule import Schedule
from innerloop.compiler.stand_ins import StandIns, stand_ins
from innerloop.compiler.target import Target, target_of
from innerloop.learners import Learner
from innerloop.models import Transformer
from innerloop.prompts import Prompt


def compile(
    learner: Learner,
    *,
    steps: int,
    like: Prompt | Sequence[Prompt],
    attention: Literal["linear", "relu", "softmax"] | Softmax = "linear",
    mlp: Literal["reglu", "relu"] = "reglu",
    tie: Literal["looped", "unrolled"] = "looped",
    optimize: Literal["depth"] | None = None,
    tolerance: float = 1e-6,
    dtype: Literal["float64", "float32"] = "float64",
    domain: Literal["sample", "box"] = "sample",
) -> Compiled:
    """Compiles a learner into a transformer whose forward pass takes `steps` of its steps.

    Args:
        learner: The learning algorithm, written for one token.
        steps: How many steps the forward pass takes.
        like: A prompt that gives the number of covariates and targets, and a sample of the domain;
            or several, where prompts differ much. The weights do not depend on how many examples
            or queries it has.
        attention: The kind of attention: `linear` and `relu` are exact; `softmax`, in which pairs
            of heads and a sink token stand for linear heads, is not, and `Softmax` sets how.
        mlp: The kind of neurons: `reglu`, in which products are exact, or `relu`.
        tie: `looped` uses the same blocks for every step, `unrolled` gives each step its own.
        optimize: `depth` carries `W h` in each token in place of `W` where `h` never changes,
            copies of small matrices in every token, and what a step begins with: one layer a step
            for models linear in their parameters, one or two less for networks.
        tolerance: The largest error of a smooth function, of a product in a ReLU MLP, and of a
            score in softmax attention, on its domain.
        dtype: The precision of the weights and of the computation.
        domain: `sample` makes smooth functions and products accurate where sample prompts take
            them, and somewhat further; `box` on every prompt in the smallest box around the
            samples, by interval arithmetic, where intervals do not blow up. That takes more
            neurons. The certificate says of each which it is.

    Returns:
        The compiled transformer.

    Raises:
        CompileError: With every operation that cannot be compiled, and what to write instead.
        ValueError: If an argument is out of range.

    Example:
        >>> import numpy as np, optax
        >>> import innerloop as il
        >>> prompt = il.Prompt([[1.0], [2.0]], [[2.0], [4.0]], [[3.0]])
        >>> line = il.learner(lambda w, x: w @ x, np.zeros((1, 1)), optimizer=optax.sgd(0.1))
        >>> model = il.compile(line, steps=3, like=prompt)
        >>> model.depth, bool(np.allclose(model(prompt), il.run(line, prompt, steps=3)[-1]))
        (7, True)
    """
    if steps < 0:
        raise ValueError(f"steps must be at least 0; got {steps}.")
    likes = [like] if isinstance(like, Prompt) else list(like)
    if not likes:
        raise ValueError("like must hold at least one prompt; got none.")
    target = target_of(attention, mlp, tie, optimize, dtype, tolerance, domain)
    with jax.enable_x64(True):
        programs = lowered_for(
            learner,
            likes[0],
            steps,
            attention=target.kind,
            dual_form=target.dual,
            multiplies=target.multiplies,
        )
        made = stand_ins(programs, likes, steps, target)
        bounds = sample_bounds(
            made.programs, likes[0], steps, made.splines, target.dtype, made.emulated
        )
    return _built(made, steps, likes, target, bounds)


def _built(
    made: StandIns, steps: int, likes: Sequence[Prompt], target: Target, bounds: SampleBounds
) -> Compiled:
    """The weights, from the programs and what stands for operations in them."""
    programs, dtype = made.programs, target.dtype
    every = expanded(programs, made.expansion)
    if target.dual:
        every = ahead(every, programs, steps)
        if target.kind == "relu":
            every = gated_heads(every, programs.state.flags, steps)
    fixed, sink = _lasting(programs, target, every.kept)
    blocks = every.run(steps)
    plans = [planned(block, programs.state.flags) for block in blocks]
    most = max(prompt.n for prompt in likes)
    plans, scores = _attending(plans, programs, most, target, sink)
    allocations = [
        allocate(plan, block.name, fixed, wipe=block.name != "read-out")
        for block, plan in zip(blocks, plans, strict=True)
    ]
    width = max(allocation.width for allocation in allocations)
    assembled = assemble(allocations, width, dtype=dtype, mlp=target.mlp)
    depths = {b.name: a.schedule.depth for b, a in zip(blocks, allocations, strict=True)}
    sections = Sections(depths.get("init", 0), depths.get("step", 0), steps, depths["read-out"])
    transformer = Transformer(assembled.blocks, _order(sections))
    ramps = _ramps_in(assembled.ramps, dtype)
    if target.tie == "unrolled":
        transformer, ramps = _unrolled(transformer, ramps)
    embed, registers = _beginning(programs, fixed, width, every.begins_at_once)
    output = programs.read_out.output
    assert output is not None
    last = allocations[-1]
    unembed = rows_of(last.schedule.output or output, last, width).toarray()
    lasting_spaces = tuple(
        Subspace(atom.name, atom.tokens, "", tuple(int(c) for c in places), -1, -1, atom.source)
        for atom, places in fixed.items()
    )
    return Compiled(
        transformer,
        embed.astype(dtype),
        registers.astype(dtype),
        None if target.softmax is None else np.eye(width)[fixed[sink]].astype(dtype),
        unembed.astype(dtype),
        ramps,
        sections,
        (*lasting_spaces, *(s for a in allocations for s in a.subspaces)),
        anatomy_of([(b.name, a) for b, a in zip(blocks, allocations, strict=True)]),
        replace(_certificate(made, steps, target, scores, bounds), steps=steps, **_sample(likes)),
    )


def _lasting(
    programs: Programs, target: Target, kept: Sequence[Atom]
) -> tuple[dict[Atom, np.ndarray], Atom]:
    """Coordinates of what lives through all blocks; `[1, log n]` of the sink, if there is one."""
    state, flags = programs.state, programs.state.flags
    sink = Atom("sink", "register", 2)
    sinks = [] if target.softmax is None else [sink]
    named = [flags.one, state.x, state.y, flags.name, *state.atoms, *kept, *programs.clocks, *sinks]
    return lasting(named), sink


def _attending(
    plans: list[Schedule], programs: Programs, most: int, target: Target, sink: Atom
) -> tuple[list[Schedule], Scores | None]:
    """The schedules with heads of the target's kind, and what that costs."""
    kind = target.softmax
    if kind is None:
        return plans if target.kind == "linear" else [by_relu(plan) for plan in plans], None
    heads = [
        item
        for plan in plans
        for row in plan.times
        for item in row
        if isinstance(item.operation, Head) and item.operation.kernel.name == "linear"
    ]
    made = [by_softmax(plan, kind, programs.state.flags, sink, most) for plan in plans]
    assert kind.beta is not None and kind.sink is not None
    error = kind.error(target.dtype)
    return made, Scores(kind.beta, kind.sink, kind.order, len(heads), error)


def _order(sections: Sections) -> tuple[int, ...]:
    """Which block of the bank each layer is."""
    start, stop = sections.init, sections.init + sections.step
    step = tuple(range(start, stop))
    return (*range(start), *(step * sections.steps), *range(stop, stop + sections.read_out))


def _unrolled(transformer: Transformer, ramps: Ramps) -> tuple[Transformer, Ramps]:
    """The same layers with a block for each."""
    order = np.asarray(transformer.order, int)
    blocks, ramps = jax.tree.map(lambda leaf: leaf[order], (transformer.blocks, ramps))
    return Transformer(blocks, tuple(range(len(order)))), ramps


def _beginning(
    programs: Programs, fixed: dict[Atom, np.ndarray], width: int, begins_at_once: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The embedding, and the register tokens before the first layer."""
    state, flags = programs.state, programs.state.flags
    d, p = state.x.size, state.y.size
    embed = np.zeros((width, d + p + 1))
    columns = {state.x: slice(0, d), state.y: slice(d, d + p), flags.one: slice(d + p, d + p + 1)}
    for atom, span in columns.items():
        embed[fixed[atom], span] = np.eye(atom.size)
    registers = np.zeros((flags.registers, width))
    registers[:, fixed[flags.name]] = np.eye(flags.registers)
    if begins_at_once:
        for stored, form in programs.init.writes.items():
            for atom, weights in form.terms.items():
                if stored.tokens == "data":
                    embed[fixed[stored], columns[atom]] += weights.toarray()
                else:
                    registers[:, fixed[stored]] += weights.toarray().T
    return embed, registers


def _ramps_in(ramps: Ramps, dtype: str) -> Ramps:
    return Ramps(*(leaf.astype(dtype) if leaf.dtype == np.float64 else leaf for leaf in ramps))


def _sample(likes: Sequence[Prompt]) -> dict:
    """What a certificate keeps of the sample prompts."""
    return {"box": Box.of(likes), "examples": likes[0].n, "queries": likes[0].m}


def _certificate(
    made: StandIns, steps: int, target: Target, scores: Scores | None, bounds: SampleBounds
) -> Certificate:
    programs = made.programs
    step = programs.step.operations if steps else ()
    operations = [*programs.init.operations, *step, *programs.read_out.operations]
    gates = [
        o
        for o in operations
        if isinstance(o, Gate)
        or (isinstance(o, Apply) and o.function.pieces is not None and o.function.pieces.jumps())
    ]
    return Certificate(
        target.dtype,
        len(operations) - len(made.approximations),
        made.approximations,
        len(gates),
        *RAMPS[target.dtype],
        scores=scores,
        tolerance=target.tolerance,
        dual=target.dual,
        attention=target.kind,
        mlp=target.mlp,
        sizes=made.emulated.stated(made.programs.operations),
        **bounds._asdict(),
    )
