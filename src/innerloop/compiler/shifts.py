r"""Is a maximum only a shift that cancels?

`softmax`, `log_softmax` and `logsumexp` subtract the largest entry before they exponentiate, which
changes nothing but rounding. Whether every maximum of a program is of this kind is found by trying:
the program is run on random numbers with the maxima moved by a constant, and must not notice.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from jaxtyping import Array

from innerloop.collectives import bodies_of, inner_jaxpr
from innerloop.compiler.counts import AXIS_SIZE
from innerloop.compiler.trace import Traced

_SHIFTS = (0.37, -1.21)
_TOLERANCE = 1e-9


def shift_cancels(traced: Traced) -> bool:
    """Whether the maxima in a learner's step and prediction may be replaced by any constant."""
    programs = [traced.step, traced.predict]
    if not any(_has_maximum(program.jaxpr) for program in programs):
        return False
    return all(_is_indifferent(program) for program in programs)


def _has_maximum(jaxpr: Jaxpr) -> bool:
    return any(
        eqn.primitive.name == "reduce_max" or any(map(_has_maximum, bodies_of(eqn)))
        for eqn in jaxpr.eqns
    )


def _is_indifferent(program: ClosedJaxpr) -> bool:
    random = np.random.default_rng(0)
    inputs = [
        jnp.asarray(np.abs(random.normal(size=v.aval.shape)), v.aval.dtype)
        for v in program.jaxpr.invars
    ]
    truth = _evaluated(program, inputs, 0.0)
    for shift in _SHIFTS:
        for one, two in zip(truth, _evaluated(program, inputs, shift), strict=True):
            if not np.allclose(one, two, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True):
                return False
    return True


def _evaluated(program: ClosedJaxpr, inputs: Sequence[Array], shift: float) -> list[Array]:
    """The program for one token that is its own context, with every maximum moved."""
    values: dict = dict(zip(program.jaxpr.constvars, map(jnp.asarray, program.consts), strict=True))
    values |= dict(zip(program.jaxpr.invars, inputs, strict=True))

    def read(atom):
        dtype = atom.aval.dtype
        return jnp.asarray(atom.val, dtype) if isinstance(atom, Literal) else values[atom]

    for eqn in program.jaxpr.eqns:
        arrays = [read(v) for v in eqn.invars]
        if (body := inner_jaxpr(eqn)) is not None:
            outputs = _evaluated(body, arrays, shift)
        elif eqn.primitive.name == "psum":
            outputs = [a * AXIS_SIZE for a in arrays]
        elif eqn.primitive.name == "attend":
            outputs = [arrays[2]]
        else:
            out = eqn.primitive.bind(*arrays, **eqn.params)
            outputs = list(out) if eqn.primitive.multiple_results else [out]
            if eqn.primitive.name == "reduce_max":
                outputs = [outputs[0] + shift]
        values.update(zip(eqn.outvars, outputs, strict=True))
    return [read(v) for v in program.jaxpr.outvars]
