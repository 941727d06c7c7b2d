"""Whatever is built from supported operations compiles, and keeps what its certificate says.

On the sample prompt and on a fresh one, after every step, entry by entry:

    |model - il.run| <= bound,    and <= 1e-9 on the sample where every operation is exact

unless a jump's value is used, whose ramp of 1e-6 makes rounding a million times as large, or may be
met, as in `min(v, v)`, where rounding decides: the bound says so, and is what counts then. Weights
are multiplied in numpy: nothing waits for XLA, and the model's own runner is no witness.
"""

import functools

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings

import innerloop as il
from tests.compiler.limits import Limits
from tests.compiler.passes import dense_iterates
from tests.compiler.random_programs import programs

STEPS = 3
_EXACT, _JUMPS = 1e-9, 1e-8
slow_examples = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
suppressed = settings(suppress_health_check=slow_examples)


def check(case):
    """What the certificate says of the sample prompt and of a fresh one."""
    model = il.compile(case.learner, steps=STEPS, like=case.prompt)
    run = jax.jit(functools.partial(il.run, case.learner, steps=STEPS))
    limits = Limits(case.learner, model)
    for prompt in (case.prompt, case.fresh):
        expected, found = run(prompt), dense_iterates(model, prompt)
        gap, limit = np.abs(expected - found), limits(prompt)
        within = (gap <= limit) | np.isinf(limit)
        assert within.all(), f"measured {gap.max():.3g}, bound {limit.max():.3g}"
        if prompt is case.prompt and model.certificate.exact:
            scale = max(1.0, np.abs(expected).max())
            assert gap.max() <= _EXACT * scale or limit.max() > _JUMPS * scale


def check_smooth(case):
    """The same, of those that have a spline."""
    try:
        check(case)
    except il.CompileError:
        reject()


@given(case=programs())
@settings(suppressed, max_examples=140)
def test_an_exact_program_keeps_its_certificate(case):
    check(case)


@given(case=programs(smooth=True, most=3))
@settings(suppressed, max_examples=60)
def test_a_smooth_program_keeps_its_certificate(case):
    check_smooth(case)


@pytest.mark.nightly
@given(case=programs())
@settings(suppressed, max_examples=1000)
def test_a_thousand_exact_programs_keep_their_certificates(case):
    check(case)


@pytest.mark.nightly
@given(case=programs(smooth=True))
@settings(suppressed, max_examples=1000)
def test_a_thousand_smooth_programs_keep_their_certificates(case):
    check_smooth(case)
