r"""Bounds for a certificate: on the sample prompt when a model is compiled, and later on any other.

A bound belongs to a prompt: the learner runs on it, so its values are known, and what remains to be
bounded is how far the transformer's values can be from them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from innerloop.compiler.bounds import Bounds, Precision, bounds_of
from innerloop.compiler.calibrate import sampled
from innerloop.compiler.certificate import PRODUCT, Certificate
from innerloop.compiler.emulated import Emulated
from innerloop.compiler.emulation import Softmax
from innerloop.compiler.forms import Atom
from innerloop.compiler.graph import Head
from innerloop.compiler.programs import Programs
from innerloop.compiler.smooth import smooth_operations
from innerloop.compiler.splines import Spline, interpolated
from innerloop.prompts import Prompt

RAMPS = {"float64": (1e-12, 1e-6), "float32": (1e-9, 1e-3)}
"""By precision, the widths of the ramps of a gate, and of a jump whose value is needed."""
_SAYS_NOTHING = 1.0
"""A difference as large as the prediction."""
_MOST_WORK = 3_000
_NUMBERS_LIKE_A_CALL = 30_000
_QUICK_NUMBERS = 1 << 17
_MOST_NUMBERS = 1 << 20


class SampleBounds(NamedTuple):
    """The fields of a certificate that speak of the sample prompt."""

    sample_bounds: tuple[float, ...]
    vacuous: bool
    largest: str


def sample_bounds(
    programs: Programs,
    like: Prompt,
    steps: int,
    splines: Mapping[Atom, Spline],
    dtype: str,
    emulated: Emulated,
) -> SampleBounds:
    """Bounds on the sample prompt, as long as they say something and do not delay a compilation.

    Args:
        programs: The three programs.
        like: The sample prompt; of a long one, the same tokens as for domains.
        steps: How many steps the transformer takes.
        splines: What stands in for smooth functions.
        dtype: The precision of the weights.
        emulated: What stands for operations that the target lacks.
    """
    few = sampled(like)
    symbols, numbers = _affordable(programs, few, _QUICK_NUMBERS, 2)
    operations = 1 + len(programs.step.operations) + len(programs.read_out.operations)
    most = _MOST_WORK / (operations * (1.0 + numbers / _NUMBERS_LIKE_A_CALL))
    precision = Precision(dtype, *RAMPS[dtype])
    bounds = bounds_of(
        programs,
        few,
        min(steps, 1 + int(most)),
        splines,
        precision,
        symbols,
        emulated,
        until=_SAYS_NOTHING,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        each = bounds.radius.max(axis=(1, 2)) / largest_prediction(bounds.predictions)
    told = each < _SAYS_NOTHING
    count = len(told) if told.all() else int(np.argmin(told))
    return SampleBounds(tuple(map(float, each[:count])), count < len(each), bounds.largest)


def largest_prediction(predictions: np.ndarray) -> float:
    """What differences are relative to."""
    finite = np.abs(predictions[np.isfinite(predictions)])
    return float(np.max(finite, initial=np.finfo(float).tiny))


def prompt_bounds(
    programs: Programs,
    certificate: Certificate,
    prompt: Prompt,
    steps: int,
    splines: Mapping[Atom, Spline],
) -> Bounds:
    """Bounds on a whole prompt, for a model that was compiled before.

    Args:
        programs: The learner, lowered again.
        certificate: The model's.
        prompt: Any prompt.
        steps: How many steps the transformer takes.
        splines: Made again from the certificate, by `splines_of`.

    Raises:
        ValueError: If the certificate speaks of other functions than the learner's.
    """
    precision = Precision(certificate.dtype, certificate.ramp, certificate.step_ramp)
    emulated = emulated_by(programs, certificate)
    box = bounds_of(programs, prompt, steps, splines, precision, 0, emulated)
    symbols, _ = _affordable(programs, prompt, _MOST_NUMBERS, 8)
    if not symbols:
        return box
    followed = bounds_of(programs, prompt, steps, splines, precision, symbols, emulated)
    return replace(followed, radius=np.minimum(box.radius, followed.radius))


def _affordable(
    programs: Programs, prompt: Prompt, most_numbers: int, each: int
) -> tuple[int, int]:
    """How many symbols to follow, up to `each` for an entry of the state, and their numbers.

    None if there would be fewer than two for an entry.
    """
    tokens = prompt.n + prompt.m
    registers = programs.state.flags.registers
    operations = [*programs.step.operations, *programs.read_out.operations]
    widest = max((form.size for o in operations for form in o.reads), default=1)
    pairs = max(
        (
            (tokens if o.query.tokens == "data" else registers)
            * (prompt.n if o.key.tokens == "data" else registers)
            for o in operations
            if isinstance(o, Head)
        ),
        default=1,
    )
    numbers = max(max(tokens, registers) * widest, pairs)
    entries = sum(
        atom.size * (tokens if atom.tokens == "data" else registers)
        for atom in programs.state.atoms
    )
    symbols = min(most_numbers // numbers, each * entries)
    return (symbols, symbols * numbers) if symbols >= 2 * entries else (0, 0)


def emulated_by(programs: Programs, certificate: Certificate) -> Emulated:
    """What stands for operations that the target lacks, again from a certificate."""
    scores = certificate.scores
    softmax = None
    if scores is not None:
        softmax = Softmax(scores.beta, scores.sink, 4 if scores.order == 4 else 2)
    empty = Emulated(softmax, certificate.mlp == "relu")
    return empty.with_stated(programs.operations, certificate.sizes)


def splines_of(programs: Programs, certificate: Certificate) -> dict[Atom, Spline]:
    """The splines of a model, made again from its certificate."""
    operations = list(smooth_operations(programs.operations))
    names = [operation.function.name for operation in operations]
    items = [item for item in certificate.approximations if item.function != PRODUCT]
    stated = [item.function for item in items]
    if names != stated:
        raise ValueError(
            f"this learner's smooth functions are {', '.join(names) or 'none'}, and the model's "
            f"{', '.join(stated) or 'none'}: it was compiled from another learner."
        )
    made = {}
    for operation, item in zip(operations, items, strict=True):
        spline = interpolated(
            operation.function,
            item.low,
            item.high,
            tolerance=certificate.tolerance,
            degree=2 if certificate.mlp == "reglu" else 1,
            floor=item.floor,
        )
        if spline is None or (spline.error, spline.knots.size + 1) != (item.error, item.neurons):
            raise ValueError(
                f"the spline of {item.function} at {item.source} cannot be made again as the model "
                "has it: it was compiled from another learner, or by another version."
            )
        made[operation.out] = spline
    return made
