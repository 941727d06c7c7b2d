"""Comparisons against numbers worked out by hand, and controls that must not match."""

import jax
import numpy as np
import pytest
from sklearn.linear_model import Ridge

import innerloop as il
from innerloop import algorithms, constructions
from innerloop.diagnostics import (
    after,
    batch,
    compare,
    compare_with_controls,
    mean_target,
    predictions,
    sensitivities,
    spectral_response,
)

D, P, N, M, B = 3, 2, 13, 5, 11


def prompt(rng):
    x, xq = rng.normal(size=(N, D)), rng.normal(size=(M, D))
    return il.Prompt(x, x @ rng.normal(size=(D, P)) + 0.3 * rng.normal(size=(N, P)), xq)


@pytest.fixture
def prompts(rng):
    return [prompt(rng) for _ in range(B)]


def ridge(prompt):
    """Scikit-learn's ridge: a predictor that JAX cannot trace."""
    fitted = Ridge(alpha=0.1 * prompt.n, fit_intercept=False).fit(
        np.asarray(prompt.x), np.asarray(prompt.y)
    )
    return fitted.predict(np.asarray(prompt.xq))


def implicit(prompt, penalty):
    moment = prompt.x.T @ prompt.x / N + penalty * np.eye(D)
    return np.linalg.solve(moment, prompt.x.T @ prompt.y / N).T


def test_predictions_and_sensitivities_of_what_jax_traces_and_of_what_it_does_not(prompts):
    step = after(algorithms.gradient_descent(0.2), 1)
    found = sensitivities(step, prompts)
    for one, at in zip(prompts, found, strict=True):
        expected = 0.2 * one.y.T @ one.x / N
        np.testing.assert_allclose(at, np.broadcast_to(expected, (M, P, D)), rtol=0, atol=1e-12)
    assert predictions(ridge, prompts).shape == (B, M, P)
    for one, at in zip(prompts, sensitivities(ridge, prompts), strict=True):
        np.testing.assert_allclose(at[0], implicit(one, 0.1), rtol=1e-6, atol=1e-8)


def test_a_predictor_is_the_same_as_itself_and_differs_from_its_half(prompts):
    step, half = (after(algorithms.gradient_descent(eta), 1) for eta in (0.2, 0.1))
    same, scaled = compare(step, step, prompts), compare(half, step, prompts)
    assert (same.relative_difference.value, same.sensitivity_difference.value) == (0.0, 0.0)
    assert abs(scaled.relative_difference.value - 0.5) < 1e-12
    assert abs(scaled.cosine.value - 1) < 1e-12
    assert "cosine" in str(scaled)


def test_numbers_by_hand(prompts):
    step, other = after(algorithms.gradient_descent(0.2), 1), after(algorithms.averaging(), 1)
    found = compare(step, other, prompts)
    moments = [one.y.T @ one.x / N for one in prompts]
    answers = np.stack([one.xq @ w.T for one, w in zip(prompts, moments, strict=True)])
    apart = np.abs(0.8 * answers).mean(axis=(1, 2))
    assert abs(found.prediction_difference.value - apart.mean()) < 1e-12
    assert abs(found.prediction_difference.error - apart.std(ddof=1) / B**0.5) < 1e-12
    lengths = np.mean([np.linalg.norm(0.8 * w, axis=1).mean() for w in moments])
    assert abs(found.sensitivity_difference.value - lengths) < 1e-12


def test_controls_do_not_match(prompts):
    model = constructions.gradient_descent(d=D, p=P, steps=2, learning_rate=0.2)
    algorithm = after(algorithms.gradient_descent(0.2), 2)
    found = compare_with_controls(
        model, algorithm, prompts, key=jax.random.key(0), controls={"averaging": mean_target}
    )
    assert found["match"].relative_difference.value < 1e-12
    for control in ("shuffled labels", "mean target", "averaging"):
        assert found[control].relative_difference.value > 0.3
    assert found["averaging"] == found["mean target"]


def test_the_spectral_response_of_gradient_descent_and_of_what_is_no_filter(prompts):
    gradient = spectral_response(after(algorithms.gradient_descent(0.2), 3), prompts)
    expected = (1 - (1 - 0.2 * gradient.eigenvalues) ** 3) / gradient.eigenvalues
    np.testing.assert_allclose(gradient.gains, expected, rtol=1e-10)
    assert gradient.unexplained.max() < 1e-20
    skew = after(algorithms.preconditioned_gradient_descent(np.diag([1.0, 0.2, 0.0])), 1)
    assert spectral_response(skew, prompts).unexplained.mean() > 0.01


def test_prompts_that_cannot_be_compared_are_refused(prompts, rng):
    with pytest.raises(ValueError, match="at least one prompt"):
        batch([])
    x = rng.normal(size=(N + 4, D))
    with pytest.raises(ValueError, match="equal sizes"):
        batch([*prompts, il.Prompt(x, x[:, :P], x)])
    assert batch(prompts[0]).x.shape == (1, N, D)
