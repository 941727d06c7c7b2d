"""Losses on shifted tasks: closed forms, equal curves of equal algorithms, controls that differ."""

import jax
import numpy as np
import pytest

import innerloop as il
from innerloop import algorithms
from innerloop.diagnostics import after, shift_curves
from innerloop.tasks import ScaledTargets, scale_inputs, von_oswald

ALPHAS = (1.0, 2.0)
TASK = von_oswald(n=7, d=5)
RATE = 5.0


def inputs(alpha):
    return scale_inputs(TASK, alpha)


def targets(alpha):
    return ScaledTargets(task=TASK, alpha=alpha)


@pytest.fixture(scope="module")
def model():
    like = TASK.sample(key=jax.random.key(0)).prompt
    return il.compile(algorithms.gradient_descent(RATE), steps=2, like=like)


@pytest.mark.parametrize("shifted", [inputs, targets])
def test_a_compiled_model_has_the_losses_of_its_algorithm_at_every_shift(model, shifted):
    algorithm = after(algorithms.gradient_descent(RATE), 2)
    found = shift_curves(
        lambda prompt: model(prompt), algorithm, shifted, ALPHAS, key=jax.random.key(1), prompts=50
    )
    np.testing.assert_allclose(found["first"].loss, found["second"].loss, rtol=1e-10)
    assert found["first"].difference.max() < 1e-10
    np.testing.assert_allclose(found["first"].ratio, 1.0, rtol=1e-10)
    for control in ("mean target", "shuffled labels"):
        assert found[control].difference.min() > 0.1


def test_a_step_size_that_is_a_tenth_off_shows_away_from_training():
    """The deliberate fault: alike within 10 % at alpha = 1, not at 2."""
    right, wrong = (after(algorithms.gradient_descent(eta), 2) for eta in (RATE, 0.9 * RATE))
    found = shift_curves(
        right, right, inputs, ALPHAS, key=jax.random.key(1), prompts=50, controls={"off": wrong}
    )
    assert abs(found["off"].ratio[0] - 1) < 0.1 < 0.2 < abs(found["off"].ratio[1] - 1)
    np.testing.assert_allclose(found["first"].loss, found["second"].loss, rtol=1e-12)


def test_losses_are_those_of_the_closed_form():
    """One step at rate eta: half of E sum_i (1 - eta l_i)^2 over 12, times alpha^2."""
    step = after(algorithms.gradient_descent(RATE), 1)
    found = shift_curves(step, step, inputs, ALPHAS, key=jax.random.key(2), prompts=2000)["first"]
    n, d, variance, kurtosis = TASK.n, TASK.d, 1 / 12, 1.8
    power = variance * np.array(ALPHAS) ** 2
    crossed = RATE * power
    squares = RATE**2 * power**2 * (n + d - 2 + kurtosis) / n
    expected = 0.5 * power * d * (1 - 2 * crossed + squares)
    assert (np.abs(found.loss - expected) < 4 * found.error).all()
    assert (found.error < 0.25 * expected).all()


def test_ratios_and_their_errors():
    """Half the step, half the predictions; what is linear in targets has losses that scale."""
    first, second = (after(algorithms.gradient_descent(eta), 1) for eta in (RATE / 2, RATE))
    found = shift_curves(first, second, targets, ALPHAS, key=jax.random.key(3), prompts=200)
    ratio = found["first"].loss / found["second"].loss
    np.testing.assert_allclose(found["first"].ratio, ratio, rtol=1e-12)
    np.testing.assert_allclose(found["first"].difference, 0.5, rtol=1e-12)
    assert 0 < found["first"].ratio_error[0] < found["first"].error[0] / found["second"].loss[0]
    assert found["second"].ratio_error[0] == 0
    for curve in (found["first"], found["second"]):
        np.testing.assert_allclose(curve.loss / np.square(ALPHAS), curve.loss[0], rtol=1e-10)


def test_what_has_no_error_is_refused():
    step = after(algorithms.averaging(), 1)
    with pytest.raises(ValueError, match="two or more prompts"):
        shift_curves(step, step, targets, [1.0], key=jax.random.key(0), prompts=1)
    with pytest.raises(ValueError, match="one or more shifts"):
        shift_curves(step, step, targets, [], key=jax.random.key(0))
