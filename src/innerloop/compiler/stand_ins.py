"""What stands for what a target lacks: splines, hinges, and the sizes that they are made for."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from innerloop.compiler.box import Box
from innerloop.compiler.calibrate import Ranges, calibrated
from innerloop.compiler.certificate import Approximation
from innerloop.compiler.emulated import Emulated
from innerloop.compiler.emulation import scaled_heads
from innerloop.compiler.expansion import Expansion
from innerloop.compiler.forms import Atom
from innerloop.compiler.graph import Apply, Gate, Head, Operation, Product
from innerloop.compiler.hinges import Squares, squares_for
from innerloop.compiler.intervals import Enclosures, enclosed
from innerloop.compiler.programs import Programs
from innerloop.compiler.proofs import RAMPS
from innerloop.compiler.smooth import smooth_functions
from innerloop.compiler.splines import Spline
from innerloop.compiler.target import Target
from innerloop.prompts import Prompt

_WIDER = 1.25


class StandIns(NamedTuple):
    """What stands for smooth functions, products and scores.

    Args:
        programs: The programs, with heads that know their largest score.
        splines: By the atom of a smooth function.
        emulated: The sizes.
        expansion: How operations become neurons.
        approximations: For the certificate.
    """

    programs: Programs
    splines: Mapping[Atom, Spline]
    emulated: Emulated
    expansion: Expansion
    approximations: tuple[Approximation, ...]


def stand_ins(programs: Programs, likes: Sequence[Prompt], steps: int, target: Target) -> StandIns:
    """Finds domains, measured on sample prompts or proved, and makes what stands for operations.

    Args:
        programs: The three programs.
        likes: The sample of the domain.
        steps: How many steps to follow.
        target: What is compiled into.

    Raises:
        CompileError: If a function has no spline, or a product would take too many neurons.
    """
    ranges, operations = _ranges(programs, likes, steps, target), programs.operations
    known = Enclosures({}, {})
    if target.domain == "box":
        known = enclosed(programs, Box.of(likes), max(prompt.n for prompt in likes), steps)
    splines, approximations = smooth_functions(
        operations,
        ranges,
        known.arguments,
        tolerance=target.tolerance,
        degree=2 if target.multiplies else 1,
    )
    squares = None
    if not target.multiplies:
        squares, more = squares_for(operations, ranges.sizes, known.factors, target.tolerance)
        approximations = (*approximations, *more)
    emulated = _emulated(operations, ranges, target, squares)
    resolution = float(np.finfo(target.dtype).eps)
    widths = *RAMPS[target.dtype], resolution
    expansion = Expansion(programs.state.flags, *widths, splines, emulated, fuses=target.dual)
    scaled = programs.each(lambda program: scaled_heads(program, emulated.sizes))
    return StandIns(scaled, splines, emulated, expansion, approximations)


def _ranges(programs: Programs, likes: Sequence[Prompt], steps: int, target: Target) -> Ranges:
    """What the sample prompt says of domains, if anything asks."""
    kinds = () if target.multiplies else (Product, Gate)
    asked = target.softmax is not None or any(
        isinstance(o, kinds) or (isinstance(o, Apply) and o.function.pieces is None)
        for o in programs.operations
    )
    return calibrated(programs, likes, steps) if asked else Ranges()


def _emulated(
    operations: Sequence[Operation],
    ranges: Ranges,
    target: Target,
    squares: Mapping[Atom, Squares] | None,
) -> Emulated:
    """The sizes that stand-ins need."""
    sizes: dict[Atom, tuple[float, ...]] = {}
    softmax = target.softmax
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
