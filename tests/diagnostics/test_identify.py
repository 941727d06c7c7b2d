"""Models whose algorithm is known are named; what runs none of the algorithms is not.

Compiled and constructed weights are the ground truth that trained ones cannot give.
"""

import numpy as np
import pytest

import innerloop as il
from innerloop import algorithms, constructions
from innerloop.diagnostics import FAMILIES, after, identify, mean_target

N, D, M, B = 17, 3, 2, 22


@pytest.fixture
def prompts(rng):
    def one():
        x = rng.normal(size=(N, D))
        y = x @ rng.normal(size=(D, 1)) + 0.3 * rng.normal(size=(N, 1))
        return il.Prompt(x, y, rng.normal(size=(M, D)))

    return [one() for _ in range(B)]


def compiled(learner, steps, prompts):
    model = il.compile(learner, steps=steps, like=prompts[0])
    return lambda prompt: model(prompt)


def families(*names):
    return tuple(family for family in FAMILIES if family.name in names)


LINEAR = ("gradient descent", "ridge", "Newton", "GD++")


def test_a_compiled_transformer_is_named_by_what_was_compiled(prompts):
    model = compiled(algorithms.newton_schulz(0.1), 3, prompts)
    found = identify(model, prompts, steps=3, families=families(*LINEAR[:3]))
    assert found.name == "Newton"
    best, *others = found.matches
    assert (best.steps, round(best.settings["scale"], 6)) == (3, 0.1)
    assert best.difference < 1e-6 < 1e-3 < min(match.difference for match in others)
    assert str(found).startswith("Newton\n")


def test_a_construction_is_named_by_its_theorem(prompts):
    model = constructions.gd_plus_plus(d=D, p=1, steps=2, learning_rate=0.3, curvature=0.2)
    found = identify(model, prompts, steps=2, families=families("gradient descent", "GD++"))
    assert found.name == "GD++"
    settings = found.matches[0].settings
    np.testing.assert_allclose(list(settings.values()), [0.3, 0.2], rtol=1e-4)


def test_one_step_of_the_larger_family_is_called_by_the_simpler_name(prompts):
    found = identify(after(algorithms.averaging(), 1), prompts, steps=1, families=families(*LINEAR))
    assert found.name == "gradient descent"
    assert found.alike == ("gradient descent", "GD++")


def test_what_runs_none_of_them_is_not_named(prompts):
    found = identify(mean_target, prompts, steps=2, families=families(*LINEAR[:2]))
    assert (found.name, found.alike) == ("none", ())
    assert found.matches[0].difference > 0.3


def test_too_few_prompts_are_refused(prompts):
    with pytest.raises(ValueError, match="at least four prompts"):
        identify(mean_target, prompts[:3])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("learner", "steps", "name"),
    [
        (algorithms.gradient_descent(0.3), 3, "gradient descent"),
        (algorithms.ridge(0.1, bound=8.0), 8, "ridge"),
        (algorithms.newton_schulz(0.1), 4, "Newton"),
        (algorithms.gd_plus_plus(0.4, 0.15), 3, "GD++"),
        (algorithms.functional_gradient_descent(0.2, kernel="relu"), 4, "relu kernel descent"),
        (algorithms.functional_gradient_descent(0.01, kernel="exp"), 2, "exp kernel descent"),
        (
            algorithms.functional_gradient_descent(0.5, kernel="softmax"),
            2,
            "softmax kernel descent",
        ),
    ],
)
def test_every_family_is_told_from_all_others(learner, steps, name, prompts):
    assert identify(compiled(learner, steps, prompts), prompts).name == name
