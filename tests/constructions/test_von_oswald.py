"""von Oswald et al. (2022): Propositions 1 to 3, GD++, two softmax heads, interpolation."""

import equinox as eqx
import numpy as np
import pytest

import innerloop as il
from innerloop import constructions
from tests.oracles import kernels, least_squares
from tests.registries import WEIGHTS, regression

SIZES = {"d": 3, "p": 2}


def gradient_descent(**settings):
    return constructions.gradient_descent(**{**SIZES, "learning_rate": 0.8, **settings})


@pytest.mark.parametrize("steps", [1, 2, 5, 100])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_proposition_1_against_the_spectrum(steps, weights, rng):
    prompt = regression(rng)
    expected = least_squares.iterates(
        prompt, least_squares.gradient_descent(0.8), steps=steps, weights=weights
    )
    found = gradient_descent(steps=steps, weights=weights)(prompt)
    np.testing.assert_allclose(found, expected[-1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("p", [1, 5])
def test_any_number_of_targets(p, rng):
    x, y, xq = (rng.normal(size=shape) for shape in [(13, 3), (13, p), (7, 3)])
    prompt, weights = il.Prompt(x, y, xq), rng.normal(size=(p, 3))
    expected = least_squares.iterates(
        prompt, least_squares.gradient_descent(0.3), steps=5, weights=weights
    )
    found = gradient_descent(p=p, steps=5, learning_rate=0.3, weights=weights)(prompt)
    np.testing.assert_allclose(found, expected[-1], rtol=1e-10, atol=1e-12)


def test_the_weights_of_the_start_stand_in_every_layer(rng):
    """Stacked layers with a step size each: the error is the product of `1 - eta_k s`."""
    prompt, rates = regression(rng), [0.3, 0.9, 0.1, 1.1, 0.5]
    expected = least_squares.iterates(
        prompt,
        lambda k, s: np.prod([1 - rate * s for rate in rates[:k]]),
        steps=5,
        weights=WEIGHTS,
    )
    model = gradient_descent(steps=5, learning_rate=rates, weights=WEIGHTS)
    np.testing.assert_allclose(model(prompt), expected[-1], rtol=1e-10, atol=1e-12)
    without = eqx.tree_at(
        lambda m: m.transformer.blocks.attention[0].W_V,
        model,
        replace_fn=lambda w: np.where(
            np.arange(5)[:, None, None, None] < 1, w, [0, 0, 0, 1, 1] * w
        ),
    )
    assert not np.allclose(without(prompt), expected[-1], rtol=1e-3)


def test_damping_scales_the_step_size(rng):
    prompt = regression(rng)
    damped = gradient_descent(steps=5, damping=0.75, weights=WEIGHTS)(prompt)
    slower = gradient_descent(steps=5, learning_rate=0.6, weights=WEIGHTS)(prompt)
    np.testing.assert_allclose(damped, slower, rtol=1e-12)
    assert not np.allclose(damped, gradient_descent(steps=5, weights=WEIGHTS)(prompt), rtol=1e-3)


def test_depth_and_width_are_the_papers():
    model = gradient_descent(steps=5)
    assert (model.depth, model.width, model.sublayers) == (5, 5, 5)
    assert model.transformer.blocks.attention[0].W_Q.shape[:2] == (1, 1)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_gd_plus_plus_against_the_spectrum(steps, rng):
    prompt = regression(rng)
    expected = least_squares.iterates(
        prompt, least_squares.gd_plus_plus(0.8, 0.3), steps=steps, weights=WEIGHTS
    )
    model = constructions.gd_plus_plus(
        **SIZES, steps=steps, learning_rate=0.8, curvature=0.3, weights=WEIGHTS
    )
    np.testing.assert_allclose(model(prompt), expected[-1], rtol=1e-10, atol=1e-12)


def draw_features(rng):
    return constructions.Features(
        rng.normal(size=(7, 3)), rng.normal(size=7), rng.normal(size=(5, 7)) / 3
    )


def apply_features(features, x):
    hidden = np.maximum(x @ features.input.T + features.bias, 0)
    return hidden @ features.output.T


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_proposition_2_is_gradient_descent_on_features_and_on_their_kernel(steps, rng):
    prompt, features = regression(rng), draw_features(rng)
    seen = il.Prompt(
        apply_features(features, prompt.x), prompt.y, apply_features(features, prompt.xq)
    )
    rate = 1 / np.linalg.eigvalsh(seen.x.T @ seen.x / seen.n).max()
    found = constructions.deep_features(features, p=2, steps=steps, learning_rate=rate)(prompt)
    primal = least_squares.iterates(seen, least_squares.gradient_descent(rate), steps=steps)[-1]
    dual = kernels.functional_gradient_descent(seen, rate, "linear", steps=steps)[-1]
    np.testing.assert_allclose(found, primal, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found, dual, rtol=1e-10, atol=1e-12)
    assert not np.allclose(found, gradient_descent(steps=steps, learning_rate=rate)(prompt))


@pytest.mark.parametrize("examples", [13, 17])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_proposition_3_from_tokens_in_turn(steps, examples, rng):
    """Also with codes for longer prompts than this one."""
    prompt = regression(rng)
    expected = gradient_descent(steps=steps)(prompt)
    settings = {**SIZES, "examples": examples, "steps": steps, "learning_rate": 0.8}
    found = constructions.copying_gradient_descent(**settings)(prompt)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_softmax_copying_obeys_its_bound(rng):
    """`2 max|value| (t - 1) e^-beta` an entry of the copy, and what the step makes of it."""
    prompt = regression(rng)
    expected = gradient_descent(steps=1)(prompt)
    errors = []
    for beta in (10.0, 15.0, 20.0):
        model = constructions.copying_gradient_descent(
            **SIZES, examples=13, steps=1, learning_rate=0.8, beta=beta
        )
        errors.append(np.abs(model(prompt) - expected).max())
        entry = 2 * 2 * 27 * np.exp(-beta)  # values are differences of data and a unit vector
        x, y, xq = (np.abs(a).max() for a in (prompt.x, prompt.y, prompt.xq))
        step = 0.8 * 3 * xq * (x * entry + (y + entry) * entry) * 2
        assert errors[-1] < step + entry
    slopes = np.diff(np.log(errors)) / 5
    np.testing.assert_allclose(slopes, -1.0, atol=0.05)


def test_two_softmax_heads_converge_with_slope_two(rng):
    prompt = regression(rng)
    for steps in (1, 2, 5):
        expected = gradient_descent(steps=steps)(prompt)
        errors = [
            np.abs(
                constructions.softmax_gradient_descent(
                    **SIZES, steps=steps, learning_rate=0.8, delta=delta, sink=30.0
                )(prompt)
                - expected
            ).max()
            for delta in (1e-1, 1e-2, 1e-3)
        ]
        np.testing.assert_allclose(np.diff(np.log10(errors)), -2.0, atol=0.1)


def test_equivalent_weights_interpolate_once_they_are_rescaled(rng):
    """`(P W_V s, W_KQ / s)` is one model for every `s`; a mean of two is not, unless rescaled."""
    prompt = regression(rng)
    plain = gradient_descent(steps=2, weights=WEIGHTS)
    attention = plain.transformer.blocks.attention[0]
    stretched = eqx.tree_at(
        lambda m: (m.transformer.blocks.attention[0].W_Q, m.transformer.blocks.attention[0].W_O),
        plain,
        (attention.W_Q / 4, attention.W_O * 4),
    )
    expected = plain(prompt)
    np.testing.assert_allclose(stretched(prompt), expected, rtol=1e-12)
    rescaled = [constructions.rescaled(m) for m in (plain, stretched)]
    for model in (*rescaled, constructions.interpolated(*rescaled)):
        np.testing.assert_allclose(model(prompt), expected, rtol=1e-10)
    unscaled = constructions.interpolated(plain, stretched)(prompt)
    assert not np.allclose(unscaled, expected, rtol=1e-2)


def test_interpolation_between_two_step_sizes_is_a_step_size_between(rng):
    prompt = regression(rng)
    slow, fast = (gradient_descent(steps=2, learning_rate=rate) for rate in (0.4, 1.0))
    middle = constructions.interpolated(slow, fast, 0.25)(prompt)
    expected = gradient_descent(steps=2, learning_rate=0.55)(prompt)
    np.testing.assert_allclose(middle, expected, rtol=1e-12)


def test_models_of_several_heads_are_not_interpolated():
    pair = constructions.softmax_gradient_descent(
        **SIZES, steps=1, learning_rate=0.8, delta=1e-2, sink=None
    )
    with pytest.raises(ValueError, match="one linear head"):
        constructions.rescaled(pair)


def test_prompts_of_other_sizes_are_refused(rng):
    with pytest.raises(ValueError, match="d = 2 covariates"):
        gradient_descent(d=2, steps=1)(regression(rng))
    short = constructions.copying_gradient_descent(**SIZES, examples=5, steps=1, learning_rate=0.8)
    with pytest.raises(ValueError, match="11 positions"):
        short(regression(rng))
