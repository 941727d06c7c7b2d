"""Whatever is built from exact operations compiles, and is exact."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import innerloop as il
from tests.compiler.random_programs import programs

STEPS = 2


def check(case):
    """Compiled equals run wherever no pre-activation fell inside a ramp."""
    expected = il.run(case.learner, case.prompt, steps=STEPS)
    model = il.compile(case.learner, steps=STEPS, like=case.prompt)
    found = model.iterates(case.prompt, dense=True)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


slow_examples = [HealthCheck.too_slow, HealthCheck.data_too_large]


@given(case=programs())
@settings(max_examples=25, suppress_health_check=slow_examples)
def test_a_random_program_is_exact(case):
    check(case)


@pytest.mark.nightly
@given(case=programs())
@settings(max_examples=2000, suppress_health_check=slow_examples)
def test_two_thousand_random_programs_are_exact(case):
    check(case)
