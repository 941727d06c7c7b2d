r"""Bounds for a certificate: on the sample prompt when a model is compiled, and later on any other.

A bound belongs to a prompt: the learner runs on it, so its values are known, and what remains to be
bounded is how far the transformer's values can be from them.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from innerloop.compiler.bounds import Bounds, Precision, bounds_of
from innerloop.compiler.calibrate import sampled
from innerloop.compiler.certificate import Certificate
from innerloop.compiler.forms import Atom
from innerloop.compiler.programs import Programs
from innerloop.compiler.smooth import smooth_operations
from innerloop.compiler.splines import Spline, interpolated
from innerloop.prompts import Prompt

RAMPS = {"float64": (1e-12, 1e-6), "float32": (1e-9, 1e-3)}
"""By precision, the widths of the ramps of a gate, and of a jump whose value is needed."""
_MOST_WORK = 4_000
_DEGREE = 2


class SampleBounds(NamedTuple):
    """The fields of a certificate that speak of the sample prompt."""

    sample_bounds: tuple[float, ...]
    largest: str


def sample_bounds(
    programs: Programs, like: Prompt, steps: int, splines: Mapping[Atom, Spline], dtype: str
) -> SampleBounds:
    """Bounds on the sample prompt, for as many steps as do not delay a compilation.

    Args:
        programs: The three programs.
        like: The sample prompt; of a long one, the same tokens as for domains.
        steps: How many steps the transformer takes.
        splines: What stands in for smooth functions.
        dtype: The precision of the weights.
    """
    work = 1 + len(programs.step.operations) + len(programs.read_out.operations)
    most = min(steps, max(1, _MOST_WORK // work))
    bounds = bounds_of(programs, sampled(like), most, splines, Precision(dtype, *RAMPS[dtype]))
    each = bounds.radius.max(axis=(1, 2)) / largest_prediction(bounds.predictions)
    known = np.where(np.isnan(each), np.inf, each)
    return SampleBounds(tuple(float(bound) for bound in known), bounds.largest)


def largest_prediction(predictions: np.ndarray) -> float:
    """What differences are relative to."""
    return float(max(np.abs(predictions).max(), np.finfo(float).tiny))


def prompt_bounds(
    programs: Programs, certificate: Certificate, prompt: Prompt, steps: int
) -> Bounds:
    """Bounds on a whole prompt, for a model that was compiled before.

    Args:
        programs: The learner, lowered again.
        certificate: The model's, from which the same splines are made again.
        prompt: Any prompt.
        steps: How many steps the transformer takes.

    Raises:
        ValueError: If the certificate speaks of other functions than the learner's.
    """
    precision = Precision(certificate.dtype, certificate.ramp, certificate.step_ramp)
    return bounds_of(programs, prompt, steps, splines_of(programs, certificate), precision)


def splines_of(programs: Programs, certificate: Certificate) -> dict[Atom, Spline]:
    """The splines of a model, made again from its certificate."""
    operations = list(smooth_operations(programs))
    names = [operation.function.name for operation in operations]
    stated = [item.function for item in certificate.approximations]
    if names != stated:
        raise ValueError(
            f"this learner's smooth functions are {', '.join(names) or 'none'}, and the model's "
            f"{', '.join(stated) or 'none'}: it was compiled from another learner."
        )
    made = {}
    for operation, item in zip(operations, certificate.approximations, strict=True):
        spline = interpolated(
            operation.function,
            item.low,
            item.high,
            tolerance=certificate.tolerance,
            degree=_DEGREE,
        )
        if spline is None or (spline.error, spline.knots.size + 1) != (item.error, item.neurons):
            raise ValueError(
                f"the spline of {item.function} at {item.source} cannot be made again as the model "
                "has it: it was compiled from another learner, or by another version."
            )
        made[operation.out] = spline
    return made
