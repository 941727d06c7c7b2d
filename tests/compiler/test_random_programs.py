"""Whatever is built from exact operations compiles, and is exact."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import innerloop as il
from tests.compiler.random_programs import programs

STEPS = 2


def check(case):
    """Compiled equals run; what is curved, as `min(x x, x x) x`, to the certificate's bound."""
    expected = il.run(case.learner, case.prompt, steps=STEPS)
    model = il.compile(case.learner, steps=STEPS, like=case.prompt)
    found = model.iterates(case.prompt, dense=True)
    tolerance = 1e-9 if model.certificate.exact else 1e-5
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=tolerance * scale)


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
