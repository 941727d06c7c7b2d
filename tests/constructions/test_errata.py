"""Where a printed statement fails: each erratum is confirmed, or refuted, by a computation.

Papers in the order of their years; a test's name says what is true.
"""

import equinox as eqx
import numpy as np
import pytest

import innerloop as il
from innerloop import algorithms, constructions
from tests.registries import WEIGHTS, regression

SIZES = {"d": 3, "p": 2}


def attention_of(model):
    return model.transformer.blocks.attention[0]


class TestVonOswald2022:
    def test_a_query_among_the_keys_is_harmless_for_one_layer_only(self, rng):
        """The paper drops the mask for `W_0 = 0`: exact for one layer, not for two."""
        prompt = regression(rng, m=1)
        expected = il.run(algorithms.gradient_descent(0.8), prompt, steps=2)
        for steps in (1, 2):
            model = constructions.gradient_descent(**SIZES, steps=steps, learning_rate=0.8)
            unmasked = eqx.tree_at(
                lambda m: attention_of(m).sources, model, replace_fn=np.ones_like
            )
            error = np.abs(unmasked(prompt) - expected[steps]).max()
            assert error < 1e-12 if steps == 1 else error > 1e-3

    def test_equation_13_lacks_the_step_size_over_n(self, rng):
        prompt = regression(rng)
        features = constructions.Features(np.eye(3), np.full(3, 2.0), np.eye(3))
        found = constructions.deep_features(features, p=2, steps=1, learning_rate=0.3)(prompt)
        smoothed = np.maximum(prompt.xq + 2, 0) @ np.maximum(prompt.x + 2, 0).T @ prompt.y
        np.testing.assert_allclose(found, 0.3 / prompt.n * smoothed, rtol=1e-12)
        assert not np.allclose(found, smoothed, rtol=0.5)

    @pytest.mark.parametrize("beta", [None, 50.0])
    def test_proposition_3_with_the_printed_shift_copies_the_wrong_neighbour(self, beta, rng):
        prompt = regression(rng)
        expected = il.run(algorithms.gradient_descent(0.8), prompt, steps=1)[-1]
        settings = {**SIZES, "examples": 13, "steps": 1, "learning_rate": 0.8, "beta": beta}
        good = constructions.copying_gradient_descent(**settings)(prompt)
        printed = constructions.copying_gradient_descent(**settings, shift=-1)(prompt)
        np.testing.assert_allclose(good, expected, rtol=0, atol=1e-10)
        assert np.abs(printed - expected).max() > 0.1

    def test_proposition_3_with_softmax_needs_a_temperature(self, rng):
        prompt = regression(rng)
        expected = il.run(algorithms.gradient_descent(0.8), prompt, steps=1)[-1]
        settings = {**SIZES, "examples": 13, "steps": 1, "learning_rate": 0.8}
        printed, cold = (
            constructions.copying_gradient_descent(**settings, beta=beta)(prompt)
            for beta in (1.0, 50.0)
        )
        assert np.abs(printed - expected).max() > 0.1
        np.testing.assert_allclose(cold, expected, rtol=0, atol=1e-10)

    def test_two_softmax_heads_without_a_sink_descend_on_centred_targets(self, rng):
        """Their denominators differ in the first order, whatever `delta` is."""
        prompt = regression(rng)
        assert np.abs(prompt.x.mean(0)).max() > 0.05
        models = [
            constructions.softmax_gradient_descent(
                **SIZES, steps=1, learning_rate=0.8, delta=1e-4, sink=sink
            )
            for sink in (None, 25.0)
        ]
        pair, with_sink = (model(prompt) for model in models)
        plain, centred = (
            0.8 / prompt.n * prompt.xq @ prompt.x.T @ (prompt.y - offset)
            for offset in (0.0, prompt.y.mean(0)[None])
        )
        np.testing.assert_allclose(pair, centred, rtol=0, atol=1e-7)
        np.testing.assert_allclose(with_sink, plain, rtol=0, atol=1e-7)
        assert np.abs(pair - plain).max() > 1e-2

    def test_gd_plus_plus_with_the_printed_initial_weights_is_no_descent(self, rng):
        """`W_V = [[I, 0], [W_0, -I]]` reads transformed covariates from the second layer on."""
        prompt = regression(rng)
        settings = {**SIZES, "learning_rate": 0.8, "curvature": 0.3}
        expected = il.run(algorithms.gd_plus_plus(0.8, 0.3, weights=WEIGHTS), prompt, steps=2)
        for steps in (1, 2):
            model = constructions.gd_plus_plus(**settings, steps=steps, weights=WEIGHTS)
            np.testing.assert_allclose(model(prompt), expected[steps], rtol=1e-10)
            value = attention_of(model).W_V.copy()
            value[0, 0, 3:, :3] = WEIGHTS
            tokens = constructions.gradient_descent(
                **SIZES, steps=1, learning_rate=0.8, weights=WEIGHTS
            ).embed
            printed = eqx.tree_at(lambda m: (attention_of(m).W_V, m.embed), model, (value, tokens))
            error = np.abs(printed(prompt) - expected[steps]).max()
            assert error < 1e-12 if steps == 1 else error > 1e-3
