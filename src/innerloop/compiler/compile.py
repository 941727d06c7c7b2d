r"""From a learner to a transformer, pass by pass.

trace -> lower -> interpolate -> neurons -> wire -> schedule -> allocate -> assemble -> certify

Each pass is a pure function between immutable values, in the file of its name.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import jax
import numpy as np

from innerloop.compiler.allocate import Subspace, allocate, lasting
from innerloop.compiler.anatomy import anatomy_of
from innerloop.compiler.assemble import Ramps, assemble, rows_of
from innerloop.compiler.certificate import Approximation, Certificate
from innerloop.compiler.compiled import Compiled, Sections
from innerloop.compiler.forms import Atom
from innerloop.compiler.graph import Apply, Gate, Program
from innerloop.compiler.neurons import Expansion
from innerloop.compiler.programs import Programs, lower
from innerloop.compiler.proofs import RAMPS, SampleBounds, sample_bounds
from innerloop.compiler.schedule import Deadlock, Schedule, schedule
from innerloop.compiler.smooth import smooth_functions
from innerloop.compiler.splines import Spline
from innerloop.compiler.trace import trace
from innerloop.compiler.wiring import wire
from innerloop.learners import Learner
from innerloop.models import Transformer
from innerloop.prompts import Prompt

_TARGETS = {
    "attention": ("linear",),
    "mlp": ("reglu",),
    "tie": ("looped",),
    "dtype": ("float64", "float32"),
}


def compile(
    learner: Learner,
    *,
    steps: int,
    like: Prompt,
    attention: Literal["linear"] = "linear",
    mlp: Literal["reglu"] = "reglu",
    tie: Literal["looped"] = "looped",
    tolerance: float = 1e-6,
    dtype: Literal["float64", "float32"] = "float64",
) -> Compiled:
    """Compiles a learner into a transformer whose forward pass takes `steps` of its steps.

    Args:
        learner: The learning algorithm, written for one token.
        steps: How many steps the forward pass takes.
        like: A prompt that gives the number of covariates and targets, and a sample of the domain.
            The weights do not depend on its number of examples or queries.
        attention: The kind of attention.
        mlp: The kind of neurons: `reglu`, in which products are exact.
        tie: `looped` uses the same blocks for every step.
        tolerance: The largest error of a smooth function on its domain.
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
    _check_target(attention=attention, mlp=mlp, tie=tie, dtype=dtype)
    with jax.enable_x64(True):
        programs = lower(trace(learner, like), steps)
        splines, approximations = smooth_functions(
            programs, like, steps, tolerance=tolerance, degree=2
        )
        bounds = SampleBounds((), "")
        if attention == "linear" and mlp == "reglu":
            bounds = sample_bounds(programs, like, steps, splines, dtype)
    model = _built(programs, steps, dtype, splines, approximations)
    return replace(
        model, certificate=replace(model.certificate, tolerance=tolerance, **bounds._asdict())
    )


def _check_target(**chosen: str) -> None:
    """Refuses what is not a target yet, rather than compiling into something else."""
    for name, value in chosen.items():
        if value not in _TARGETS[name]:
            known = " or ".join(repr(target) for target in _TARGETS[name])
            raise ValueError(f"{name}={value!r} is not a target of the compiler yet; use {known}.")


def _built(
    programs: Programs,
    steps: int,
    dtype: str,
    splines: Mapping[Atom, Spline],
    approximations: tuple[Approximation, ...],
) -> Compiled:
    flags, state = programs.state.flags, programs.state
    fixed = lasting([flags.one, state.x, state.y, flags.name, *state.atoms, *programs.clocks])
    begins_at_once = not programs.init.operations
    blocks = [programs.step, programs.read_out]
    if steps == 0:
        blocks = [programs.read_out]
    if not begins_at_once:
        blocks = [programs.init, *blocks]
    allocations = []
    for program in blocks:
        plan = _planned(program, programs, dtype, splines)
        allocations.append(allocate(plan, program.block, fixed, wipe=program.block != "read-out"))
    width = max(allocation.width for allocation in allocations)
    assembled = assemble(allocations, width, dtype=dtype)
    depths = {p.block: a.schedule.depth for p, a in zip(blocks, allocations, strict=True)}
    sections = Sections(depths.get("init", 0), depths.get("step", 0), steps, depths["read-out"])
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
        Transformer(assembled.blocks, _order(sections)),
        embed.astype(dtype),
        registers.astype(dtype),
        unembed.astype(dtype),
        _ramps_in(assembled.ramps, dtype),
        sections,
        (*lasting_spaces, *(s for a in allocations for s in a.subspaces)),
        anatomy_of([(p.block, a) for p, a in zip(blocks, allocations, strict=True)]),
        _certificate(blocks, dtype, approximations),
    )


def _planned(
    program: Program, programs: Programs, dtype: str, splines: Mapping[Atom, Spline]
) -> Schedule:
    """One block as a schedule."""
    flags = programs.state.flags
    resolution = float(np.finfo(dtype).eps)
    expansion = Expansion(flags, *RAMPS[dtype], resolution, splines)
    operations = expansion.expand(program.operations)
    try:
        return schedule(wire(operations, program.writes, program.output, flags))
    except Deadlock:
        by_neurons = wire(
            operations, program.writes, program.output, flags, update_by_attention=False
        )
        return schedule(by_neurons)


def _order(sections: Sections) -> tuple[int, ...]:
    """Which block of the bank each layer is."""
    start, stop = sections.init, sections.init + sections.step
    step = tuple(range(start, stop))
    return (*range(start), *(step * sections.steps), *range(stop, stop + sections.read_out))


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
    blocks: list[Program], dtype: str, approximations: tuple[Approximation, ...]
) -> Certificate:
    operations = [o for program in blocks for o in program.operations]
    gates = [
        o
        for o in operations
        if isinstance(o, Gate)
        or (isinstance(o, Apply) and o.function.pieces is not None and o.function.pieces.jumps())
    ]
    exact = len(operations) - len(approximations)
    return Certificate(dtype, exact, approximations, len(gates), *RAMPS[dtype])
