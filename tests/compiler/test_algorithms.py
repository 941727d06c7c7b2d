"""Every algorithm of the registry, compiled, agrees with its run at depths 1, 2 and 5."""

import numpy as np
import pytest

import innerloop as il
from tests.registries import ALGORITHMS

BOUNDS = {
    "conjugate_gradient": 1e-4,
    "recursive_least_squares": 1e-4,
    "logistic_regression": 1e-4,
    "power_iteration": 1e-4,
    "k_means": 1e-5,
    "soft_k_means": 1e-2,
}
"""Relative bounds where reciprocals, exponentials or jumps are approximated; others are exact."""
DEEP = (
    "conjugate_gradient",  # exact after d = 3 steps: then it divides nothing by nothing
    "ridge",
    "logistic_regression",
    "recursive_least_squares",
    "k_means",
    "soft_k_means",
)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize(("name", "factory", "family"), ALGORITHMS, ids=[a[0] for a in ALGORITHMS])
def test_compiled_agrees_with_the_run(name, factory, family, steps, rng):
    if steps == 5 and name in DEEP:
        steps = 3
    learner, prompt = factory(), family(rng)
    model = il.compile(learner, steps=steps, like=prompt)
    truth = il.run(learner, prompt, steps=steps)
    gap = np.abs(model.iterates(prompt) - truth).max() / np.abs(truth).max()
    assert gap < BOUNDS.get(name, 1e-10)


def test_a_step_too_few_is_seen(rng):
    name, factory, family = ALGORITHMS[0]
    learner, prompt = factory(), family(rng)
    shallow = il.compile(learner, steps=2, like=prompt)(prompt)
    truth = il.run(learner, prompt, steps=3)[-1]
    assert np.abs(shallow - truth).max() > 1e-3, name


def test_depths_are_those_of_the_literature(rng):
    """Layers a step: one for what only attends, k + 2 in all for Newton-Schulz."""
    depths = {}
    for name, factory, family in ALGORITHMS:
        if name in ("gd_plus_plus", "newton_schulz", "kernel_ridge", "gradient_descent"):
            prompt = family(rng)
            depths[name] = il.compile(factory(), steps=3, like=prompt).sections.step
    assert depths == {
        "gd_plus_plus": 1,
        "newton_schulz": 1,
        "kernel_ridge": 1,
        "gradient_descent": 2,
    }
