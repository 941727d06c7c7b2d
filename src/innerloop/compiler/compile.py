r"""From a learner to a transformer, pass by pass.

trace -> lower -> interpolate -> neurons -> wire -> schedule -> allocate -> assemble -> certify

Each pass is a pure function between immutable values, in the file of its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np

from innerloop.compiler.allocate import Subspace, allocate, lasting
from innerloop.compiler.anatomy import anatomy_of
from innerloop.compiler.assemble import Ramps, assemble, rows_of
from innerloop.compiler.calibrate import Ranges, calibrated
from innerloop.compiler.certificate import Approximation, Certificate, Scores
from innerloop.compiler.compiled import Compiled, Sections
from innerloop.compiler.emulated import Emulated
from innerloop.compiler.emulation import Softmax, by_relu, by_softmax, scaled_heads
from innerloop.compiler.expansion import Expansion
from innerloop.compiler.forms import Atom
from innerloop.compiler.graph import Apply, Gate, Head, Operation, Product, Program
from innerloop.compiler.hinges import Squares, squares_for
from innerloop.compiler.lowered import lowered_for
from innerloop.compiler.programs import Programs
from innerloop.compiler.proofs import RAMPS, SampleBounds, sample_bounds
from innerloop.compiler.schedule import Deadlock, Schedule, schedule
from innerloop.compiler.smooth import smooth_functions
from innerloop.compiler.wiring import wire
from innerloop.learners import Learner
from innerloop.models import Transformer
from innerloop.prompts import Prompt

_TARGETS = {
    "attention": ("linear", "relu", "softmax"),
    "mlp": ("reglu", "relu"),
    "tie": ("looped", "unrolled"),
    "optimize": (None, "depth"),
    "dtype": ("float64", "float32"),
}
_WIDER = 1.25


@dataclass(frozen=True)
class _Target:
    """What is compiled into, with every choice made."""

    attention: Literal["linear", "relu"] | Softmax
    mlp: str
    tie: str
    dtype: str
    dual: bool


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
        optimize: `depth` carries `W h` in each token in place of `W` where `h` never changes: one
            layer a step for models linear in their parameters, one less for networks.
        tolerance: The largest error of a smooth function, of a product in a ReLU MLP, and of a
            score in softmax attention, on its domain.
        dtype: The precision of the weights and of the computation.

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
    kind = "softmax" if isinstance(attention, Softmax) else attention
    _check_target(attention=kind, mlp=mlp, tie=tie, optimize=optimize, dtype=dtype)
    if attention == "softmax":
        attention = Softmax()
    if isinstance(attention, Softmax):
        attention = attention.settled(tolerance=tolerance, dtype=dtype)
    target = _Target(attention, mlp, tie, dtype, optimize == "depth" and steps > 0)
    with jax.enable_x64(True):
        programs = lowered_for(learner, likes[0], steps, attention=kind, dual_form=target.dual)
        return _built(programs, steps, likes, target, tolerance)


def _check_target(**chosen: object) -> None:
    """Refuses what is not a target, rather than compiling into something else."""
    for name, value in chosen.items():
        if value not in _TARGETS[name]:
            known = " or ".join(repr(target) for target in _TARGETS[name])
            raise ValueError(f"{name}={value!r} is not a target of the compiler; use {known}.")


def _built(
    programs: Programs, steps: int, likes: Sequence[Prompt], target: _Target, tolerance: float
) -> Compiled:
    ranges = _ranges(programs, likes, steps, target)
    operations, multiplies = programs.operations, target.mlp == "reglu"
    splines, approximations = smooth_functions(
        operations, ranges, tolerance=tolerance, degree=2 if multiplies else 1
    )
    squares = None
    if not multiplies:
        squares, more = squares_for(operations, ranges.sizes, tolerance)
        approximations = (*approximations, *more)
    emulated = _emulated(operations, ranges, target, squares)
    programs = programs.each(lambda program: scaled_heads(program, emulated.sizes))
    dtype = target.dtype
    resolution = float(np.finfo(dtype).eps)
    expansion = Expansion(
        programs.state.flags, *RAMPS[dtype], resolution, splines, squares, emulated.sizes
    )
    bounds = sample_bounds(programs, likes[0], steps, splines, dtype, emulated)
    flags, state = programs.state.flags, programs.state
    sink = Atom("sink", "register", 2)
    sinks = [sink] if isinstance(target.attention, Softmax) else []
    named = [flags.one, state.x, state.y, flags.name, *state.atoms, *programs.clocks, *sinks]
    fixed = lasting(named)
    begins_at_once = not programs.init.operations
    blocks = [programs.step, programs.read_out]
    if steps == 0:
        blocks = [programs.read_out]
    if not begins_at_once:
        blocks = [programs.init, *blocks]
    plans = [_planned(program, programs, expansion) for program in blocks]
    plans, scores = _attending(plans, programs, likes, target, sink)
    allocations = [
        allocate(plan, program.block, fixed, wipe=program.block != "read-out")
        for program, plan in zip(blocks, plans, strict=True)
    ]
    width = max(allocation.width for allocation in allocations)
    assembled = assemble(allocations, width, dtype=dtype, mlp=target.mlp)
    depths = {p.block: a.schedule.depth for p, a in zip(blocks, allocations, strict=True)}
    sections = Sections(depths.get("init", 0), depths.get("step", 0), steps, depths["read-out"])
    transformer = Transformer(assembled.blocks, _order(sections))
    ramps = _ramps_in(assembled.ramps, dtype)
    if target.tie == "unrolled":
        transformer, ramps = _unrolled(transformer, ramps)
    embed, registers = _beginning(programs, fixed, width, begins_at_once)
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
        np.eye(width)[fixed[sink]].astype(dtype) if sinks else None,
        unembed.astype(dtype),
        ramps,
        sections,
        (*lasting_spaces, *(s for a in allocations for s in a.subspaces)),
        anatomy_of([(p.block, a) for p, a in zip(blocks, allocations, strict=True)]),
        _certificate(programs, blocks, target, approximations, scores, emulated, tolerance, bounds),
    )


def _ranges(programs: Programs, likes: Sequence[Prompt], steps: int, target: _Target) -> Ranges:
    """What the sample prompt says of domains, if anything asks."""
    kinds = (Product, Gate) if target.mlp == "relu" else ()
    asked = isinstance(target.attention, Softmax) or any(
        isinstance(o, kinds) or (isinstance(o, Apply) and o.function.pieces is None)
        for o in programs.operations
    )
    return calibrated(programs, likes, steps) if asked else Ranges()


def _emulated(
    operations: Sequence[Operation],
    ranges: Ranges,
    target: _Target,
    squares: Mapping[Atom, Squares] | None,
) -> Emulated:
    """The sizes that stand-ins need."""
    sizes: dict[Atom, tuple[float, ...]] = {}
    softmax = target.attention if isinstance(target.attention, Softmax) else None
    for operation in operations:
        out, measured = operation.out, ranges.sizes.get(operation.out, (0.0,))
        if isinstance(operation, Head) and softmax is not None:
            sizes[out] = (_WIDER * measured[0] or 1.0,)
        elif isinstance(operation, Gate) and squares is not None:
            sizes[out] = measured
        elif isinstance(operation, Product) and squares is not None:
            made = squares[out]
            sizes[out] = made.left, made.right, float(made.hinges)
    return Emulated(softmax, squares is not None, sizes)


def _planned(program: Program, programs: Programs, expansion: Expansion) -> Schedule:
    """One block as a schedule."""
    flags = programs.state.flags
    operations = expansion.expand(program.operations)
    try:
        return schedule(wire(operations, program.writes, program.output, flags))
    except Deadlock:
        by_neurons = wire(
            operations, program.writes, program.output, flags, update_by_attention=False
        )
        return schedule(by_neurons)


def _attending(
    plans: list[Schedule],
    programs: Programs,
    likes: Sequence[Prompt],
    target: _Target,
    sink: Atom,
) -> tuple[list[Schedule], Scores | None]:
    """The schedules with heads of the target's kind, and what that costs."""
    if target.attention == "linear":
        return plans, None
    if not isinstance(target.attention, Softmax):
        return [by_relu(plan) for plan in plans], None
    kind, most = target.attention, max(like.n for like in likes)
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


def _certificate(
    programs: Programs,
    blocks: list[Program],
    target: _Target,
    approximations: tuple[Approximation, ...],
    scores: Scores | None,
    emulated: Emulated,
    tolerance: float,
    bounds: SampleBounds,
) -> Certificate:
    operations = [o for program in blocks for o in program.operations]
    gates = [
        o
        for o in operations
        if isinstance(o, Gate)
        or (isinstance(o, Apply) and o.function.pieces is not None and o.function.pieces.jumps())
    ]
    exact = len(operations) - len(approximations)
    return Certificate(
        target.dtype,
        exact,
        approximations,
        len(gates),
        *RAMPS[target.dtype],
        scores=scores,
        tolerance=tolerance,
        dual=target.dual,
        attention="softmax" if isinstance(target.attention, Softmax) else target.attention,
        mlp=target.mlp,
        sizes=emulated.stated(programs.operations),
        **bounds._asdict(),
    )
