"""Where a printed statement fails: each erratum is confirmed, or refuted, by a computation.

Papers in the order of their years; a test's name says what is true.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import innerloop as il
from innerloop import algorithms, constructions
from innerloop.models import LayerNorm
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

    def test_the_figures_were_drawn_for_half_the_printed_range(self, rng):
        """Printed extremes of `eig(X X^T)` fit `U(-1/2, 1/2)`, as do the losses of about 0.2."""
        printed = {25: (0.097, 7.712), 50: (0.666, 10.845), 100: (2.870, 17.196)}
        for n, extremes in printed.items():
            found = {}
            for width in (0.5, 1.0):
                x = rng.uniform(-width, width, size=(10_000, n, 10))
                s = np.linalg.eigvalsh(np.einsum("bni,bnj->bij", x, x))
                found[width] = np.array([s.min(), s.max()])
            np.testing.assert_allclose(found[0.5], extremes, rtol=0.35)
            assert (found[1.0] > 2.2 * np.array(extremes)).all()

    def test_the_best_single_step_in_closed_form(self):
        """`eta = n / (v (n + d - 2 + kurtosis))`: 6.06 and 0.2062 for `U(-1/2, 1/2)`, d = n = 10.

        Exact moments: `E S^2 = v^2 ((n + d - 2 + kurtosis) / n) I` for independent coordinates.
        """
        d = n = 10
        for half, rate, loss in ((0.5, 6.0606, 0.206229), (1.0, 1.5152, 0.824916)):
            variance, kurtosis = half**2 / 3, 1.8
            fourth = variance**2 * (n + d - 2 + kurtosis) / n
            best = variance / fourth
            np.testing.assert_allclose(best, rate, rtol=1e-4)
            error = variance * d * (1 - 2 * best * variance + best**2 * fourth) / 2
            np.testing.assert_allclose(error, loss, rtol=1e-5)


class TestAhn2023:
    def test_lemma_1_needs_a_symmetric_matrix_or_a_transpose(self, rng):
        prompt, step = regression(rng), np.array([[0.8, 0.5, 0.0], [0.0, 0.9, -0.4], [0.2, 0.0, 1]])
        found = constructions.preconditioned_gradient_descent(step[None], p=2)(prompt)
        for matrix, holds in ((step, False), (step.T, True)):
            learner = algorithms.preconditioned_gradient_descent(matrix)
            expected = il.run(learner, prompt, steps=1)[-1]
            assert np.allclose(found, expected, rtol=1e-10) == holds

    def test_the_weights_of_figures_4_and_5_belong_to_20_examples_and_not_to_10(self, rng):
        """`E sum_j p_3(s_j)^2` over spectra of Gaussian covariates, by the scalar recursion."""
        steps, transforms = (0.377, 2.405, 9.60), (0.908, 0.565, 0.0)
        losses = {}
        for n in (10, 20):
            x = rng.normal(size=(4000, n, 5))
            s = np.linalg.eigvalsh(np.einsum("bni,bnj->bij", x, x) / n)
            left, scale = np.ones_like(s), np.ones_like(s)
            for a, b in zip(steps, transforms, strict=True):
                left, scale = (
                    left * (1 - a * s * scale**2),
                    scale * (1 - a * b * s * scale**2),
                )
            losses[n] = (left**2).sum(1).mean()
        assert losses[20] < 2e-3
        assert losses[10] > 1.0


class TestZhang2023:
    def test_random_covariances_leave_a_third_of_the_variance(self):
        """One matrix for all covariances with exponential eigenvalues: `A = 1/3`, error `d/3`."""
        eigenvalues, weights = np.polynomial.laguerre.laggauss(20)

        def loss(a):
            return weights @ (eigenvalues * (1 - a * eigenvalues) ** 2)

        np.testing.assert_allclose(loss(1 / 3), 1 / 3, rtol=1e-10)
        assert min(loss(0.3), loss(0.36)) > loss(1 / 3)


class TestFu2023:
    SETTINGS = {"d": 3, "p": 2, "scale": 0.2}

    @pytest.mark.parametrize("steps", [1, 3, 8])
    def test_two_heads_with_one_value_matrix_give_an_absolute_value(self, steps, rng):
        prompt = regression(rng)
        expected = il.run(algorithms.newton_schulz(0.2), prompt, steps=steps)[-1]
        model = constructions.newton(**self.SETTINGS, steps=steps)
        np.testing.assert_allclose(model(prompt), expected, rtol=1e-10)
        flip = np.array([1.0, -1.0])[None, :, None, None]
        printed = eqx.tree_at(lambda m: attention_of(m).W_O, model, replace_fn=lambda w: w * flip)
        with np.errstate(over="ignore", invalid="ignore"):
            assert not np.abs(printed(prompt) - expected).max() < 0.01

    def test_a_query_among_the_keys_adds_itself_to_the_moment(self, rng):
        prompt = regression(rng, m=1)
        model = constructions.newton(**self.SETTINGS, steps=5)
        unmasked = eqx.tree_at(lambda m: attention_of(m).sources, model, replace_fn=np.ones_like)
        expected = il.run(algorithms.newton_schulz(0.2), prompt, steps=5)[-1]
        assert np.abs(unmasked(prompt) - expected).max() > 1e-3

    def test_the_printed_scale_loses_the_top_direction(self, rng):
        """At `alpha = 2 / lambda_max^2` its residual goes from -1 to +1 and stays."""
        s = np.diag([0.3, 0.8, 1.7])
        for factor, converges in ((2.0, False), (1.9, True)):
            inverse = factor / 1.7**2 * s
            for _ in range(30):
                inverse = 2 * inverse - inverse @ s @ inverse
            assert np.allclose(inverse @ s, np.eye(3), atol=1e-6) == converges

    def test_the_moments_are_odd_powers_up_to_twice_the_binomial(self):
        """`M_1 = 2 a S - a^2 S^3`, `M_2 = 4 a S - 6 a^2 S^3 + 4 a^3 S^5 - a^4 S^7`."""
        a, s = 0.3, np.array([0.3, 0.8, 1.7])
        first = 2 * a * s - a**2 * s**3
        second = 4 * a * s - 6 * a**2 * s**3 + 4 * a**3 * s**5 - a**4 * s**7
        inverse = a * s
        for expected in (first, second):
            inverse = 2 * inverse - inverse * s * inverse
            np.testing.assert_allclose(inverse, expected, rtol=1e-12)

    def test_the_printed_bfgs_is_dfp_and_both_are_conjugate_gradients(self, rng):
        """On a quadratic with exact line search from the identity, iterate by iterate."""
        basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
        matrix, target = basis @ np.diag([0.5, 1, 2, 3, 5.0]) @ basis.T, rng.normal(size=5)

        def quasi_newton(update):
            w, inverse, found = np.zeros(5), np.eye(5), []
            for _ in range(4):
                gradient = matrix @ w - target
                direction = -inverse @ gradient
                step = -(gradient @ direction) / (direction @ matrix @ direction) * direction
                w, inverse = w + step, update(inverse, step, matrix @ step)
                found.append(w)
            return np.array(found)

        def printed(b, s, y):
            return b - np.outer(b @ y, b @ y) / (y @ b @ y) + np.outer(s, s) / (y @ s)

        def bfgs(b, s, y):
            left = np.eye(5) - np.outer(s, y) / (y @ s)
            return left @ b @ left.T + np.outer(s, s) / (y @ s)

        b, s, y = np.diag([1.0, 2, 3, 4, 5]), rng.normal(size=5), rng.normal(size=5)
        y = y * np.sign(y @ s)
        assert not np.allclose(printed(b, s, y), bfgs(b, s, y), rtol=1e-2)
        found = quasi_newton(printed)
        np.testing.assert_allclose(found, quasi_newton(bfgs), rtol=1e-9, atol=1e-11)
        krylov = target[:, None]
        for k in range(4):
            small = np.linalg.solve(krylov.T @ matrix @ krylov, krylov.T @ target)
            np.testing.assert_allclose(found[k], krylov @ small, rtol=1e-8, atol=1e-10)
            krylov = np.column_stack([krylov, matrix @ krylov[:, -1]])


class TestCheng2023:
    def test_relu_scores_are_not_positive_definite_and_diverge(self, rng):
        """So the matched limit is no Bayes estimator: the process has absolute eigenvalues."""
        x, xq, y = (rng.normal(size=shape) for shape in [(12, 3), (7, 3), (12, 1)])
        gram = np.maximum(x @ x.T, 0)
        eigenvalues = np.linalg.eigvalsh(gram)
        assert eigenvalues.min() < -1e-2
        rate = 12 / eigenvalues.max()
        found = [
            np.abs(
                constructions.functional_gradient_descent(
                    [constructions.KernelHead(il.Kernel("relu"))],
                    d=3, p=1, steps=steps, learning_rate=rate,
                )(il.Prompt(x, y, xq))
            ).max()
            for steps in (1000, 2000)
        ]  # fmt: skip
        assert found[1] > 10 * found[0]

    def test_a_mismatched_kernel_can_win_at_few_layers(self, rng):
        """A matched kernel is best in depth, not at every depth: relu beats exp on exp's data."""
        x = rng.normal(size=(200, 15, 5))
        x /= np.linalg.norm(x, axis=-1, keepdims=True)
        dots = np.einsum("bid,bjd->bij", x, x)
        truth = np.exp(dots / 2)

        def best_loss(scores, steps):
            """The Gaussian process's expected error with the best single step size."""
            s, basis = np.linalg.eigh(scores[:, :14, :14])
            query = np.einsum("bi,bij->bj", scores[:, 14, :14], basis)
            losses = []
            for rate in np.geomspace(0.01, 1.0, 40):
                with np.errstate(over="ignore", invalid="ignore"):
                    weights = np.einsum(
                        "bj,bij->bi", query * (1 - (1 - rate * s) ** steps) / s, basis
                    )
                    errors = np.einsum("bi,bij,bj->b", weights, truth[:, :14, :14], weights)
                    errors += truth[:, 14, 14] - 2 * (weights * truth[:, 14, :14]).sum(1)
                losses.append(np.nan_to_num(errors.mean(), nan=np.inf))
            return min(losses)

        relu = np.maximum(dots, 0)
        assert best_loss(relu, 3) < best_loss(truth, 3)
        assert best_loss(relu, 100) > best_loss(truth, 100)

    def test_how_often_relu_gram_matrices_are_indefinite(self, rng):
        """2, 17, 55, 90, 99, 100 % of them, for 4, 6, ..., 14 examples and a query."""
        for n, share in ((4, 0.02), (6, 0.17), (8, 0.55), (10, 0.90), (12, 0.99), (14, 1.0)):
            x = rng.normal(size=(2000, n + 1, 5))
            x /= np.linalg.norm(x, axis=-1, keepdims=True)
            gram = np.maximum(np.einsum("bid,bjd->bij", x, x), 0)
            found = (np.linalg.eigvalsh(gram)[:, 0] < -1e-12).mean()
            assert abs(found - share) < 0.05

    def test_the_released_curve_for_one_linear_layer_is_under_trained(self, rng):
        """Its log loss is -0.15; the optimum leaves a third of the variance, -1.0986."""
        d, n = 5, 8
        best = (1 / d) / ((1 / (n * d)) * (1 + (n - 1) / d))
        x = rng.normal(size=(20_000, n, d))
        x /= np.linalg.norm(x, axis=-1, keepdims=True)
        wrong = best * np.einsum("bni,bnj->bij", x, x) / n - np.eye(d)
        losses = (wrong**2).sum((1, 2)) / d
        assert abs(losses.mean() - 1 / 3) < 4 * losses.std() / np.sqrt(len(losses))


class TestWu2024:
    SETTINGS = {"examples": 6, "steps": 2, "learning_rate": 0.1, "box": 5.0}

    def prompt(self, rng):
        x, xq = rng.normal(size=(6, 3)), rng.normal(size=(3, 3))
        return il.Prompt(x, np.abs(rng.normal(size=(6, 2))), xq)

    def weights_of(self, model, prompt):
        """`V_1` and `V_2` as a query carries them at the end."""
        stream = model.stream(prompt)[0]
        return stream[5:17].reshape(4, 3), stream[17:25].reshape(2, 4)

    def test_the_width_that_multiplies_errors_is_not_a_square_root(self):
        """Lemma 6 for entries: rows of norm `B_v`, all the same unit vector."""
        size, bound = 4, 0.7
        matrix = np.zeros((size, size))
        matrix[:, 0] = bound
        largest = np.abs(matrix.T @ np.ones(size)).max()
        np.testing.assert_allclose(largest, size * bound)
        assert largest > np.sqrt(size) * bound
        assert np.linalg.norm(matrix, 2) <= np.sqrt(size) * bound * (1 + 1e-12)  # in the 2-norm

    def test_pre_activations_leave_the_printed_range(self):
        """`R_1 = B_v B_r` misses the root of the width: `p` is a vector."""
        v, p = np.full(4, 0.5), np.ones(4)
        assert v @ p == 2 * np.linalg.norm(v) * np.abs(p).max()

    def test_lemma_3_counts_every_unit_but_the_outputs(self):
        weights = [np.ones((4, 3)), np.ones((4, 4)), np.ones((2, 4))]
        model = constructions.deep_gradient_descent(
            weights, activation=constructions.relu(0.1), **self.SETTINGS
        )
        third = np.asarray(model.transformer.blocks.attention[-1].W_V)[3]
        assert np.any(third, axis=(1, 2)).sum() == 2 * (4 * 2 + 2)

    def test_networks_that_start_at_zero_stay_there_or_stay_narrow(self, rng):
        prompt = self.prompt(rng)
        zero = [np.zeros((4, 3)), np.zeros((2, 4))]
        found = {}
        for name, activation in (
            ("relu", constructions.relu(1e-6)),
            ("sigmoid", constructions.sigmoid(4.0, 32)),
        ):
            model = constructions.deep_gradient_descent(
                zero, activation=activation, **{**self.SETTINGS, "learning_rate": 5.0}
            )
            found[name] = self.weights_of(model, prompt)
        assert all(not v.any() for v in found["relu"])
        hidden, out = found["sigmoid"]
        assert np.abs(hidden).max() > 1e-4
        assert np.abs(out).max() > 1e-2
        np.testing.assert_allclose(hidden, np.tile(hidden[:1], (4, 1)), atol=1e-12)

    def test_the_scratch_must_be_erased_g_included(self, rng):
        """The residual stream adds: what (3.22) forgets is there twice in the second step."""
        prompt = self.prompt(rng)
        weights = [rng.uniform(-0.4, 1, size=(4, 3)), rng.uniform(-0.4, 1, size=(2, 4))]
        model = constructions.deep_gradient_descent(
            weights, activation=constructions.relu(1e-6), **self.SETTINGS
        )
        place = 5 + 20 + 18 + 1  # data, weights, p r s, the constant, and then g
        erased = model.transformer.blocks.mlp.W_out[-1, place : place + 2]
        assert (erased != 0).any(axis=1).all()
        forgetful = eqx.tree_at(
            lambda m: m.transformer.blocks.mlp.W_out,
            model,
            replace_fn=lambda w: np.where(
                (np.arange(len(w))[:, None, None] == len(w) - 1)
                & np.isin(np.arange(w.shape[1]), [place, place + 1])[None, :, None],
                0.0,
                w,
            ),
        )
        assert np.abs(forgetful(prompt) - model(prompt)).max() > 1e-4

    def test_the_example_of_appendix_a_2_is_loose(self):
        """They need 80 random features for 0.625; interpolation has 0.0117 with 21 hinges."""
        t = np.linspace(-10, 10, 20_001)
        hinges = constructions.interpolant(lambda t: 1 / (1 + np.exp(-t)), 10.0, 20)
        error = np.abs(hinges(t) - 1 / (1 + np.exp(-t))).max()
        assert len(hinges.factor) == 21
        np.testing.assert_allclose(error, 0.0117, atol=2e-4)

    def test_step_sizes_up_to_the_smoothness_constant_diverge(self):
        """`eta <= L_f` in print is `eta <= 1 / L_f`: on `3 w^2 / 2` a step of 3 is no descent."""
        smoothness, start = 3.0, 1.0
        printed, meant = (start - rate * smoothness * start for rate in (3.0, 1 / 3.0))
        assert abs(printed) > abs(start) > abs(meant)

    def test_the_norm_of_the_gate_layer_is_bounded_by_rows_only(self, rng):
        """Columns of the constant collect an entry of every unit; Def. 9's norm is of columns."""
        widths = {}
        for p in (2, 5):
            weights = [np.ones((4, 3)), np.ones((p, 4))]
            model = constructions.deep_gradient_descent(
                weights, activation=constructions.relu(0.1), largest=7.0, **self.SETTINGS
            )
            matrix = np.abs(np.asarray(model.transformer.blocks.mlp.W_in)[3])
            widths[p] = (matrix.sum(1).max(), matrix.sum(0).max())
        assert widths[2][0] == widths[5][0] == 2 * 2 + 2 * 7
        assert widths[5][1] == 2 * 5 * 7
        assert widths[2][1] == 2 * 2 * 7

    def test_teachers_of_figures_5_and_6_would_be_dead(self, rng):
        """Weights `N(-1/2, 1)` and covariates `N(-2, 1)`: wide bias-free ReLU networks are 0."""
        dead = {}
        for width in (10, 20, 50, 100):
            found = []
            for _ in range(150):
                p = rng.normal(-2, 1, size=(50, 20))
                for size in (width, width, width):
                    p = np.maximum(p @ rng.normal(-0.5, 1, size=(size, p.shape[1])).T, 0)
                found.append(not p.any())
            dead[width] = np.mean(found)
        for width, share in ((10, 0.22), (20, 0.37), (50, 0.86), (100, 1.0)):
            assert abs(dead[width] - share) < 0.12

    def test_the_mean_of_the_prompt_explains_most_of_the_experiments(self, rng):
        """R^2 of about 0.84 at 50 examples for three-layer teachers with a linear output."""
        errors, targets = [], []
        for _ in range(600):
            p = rng.normal(-2, 1, size=(51, 20))
            for size in (100, 100):
                p = np.maximum(p @ rng.normal(size=(size, p.shape[1])).T / 10, 0)
            y = p @ rng.normal(size=100)
            errors.append(y[-1] - y[:-1].mean())
            targets.append(y[-1])
        assert abs(1 - np.var(errors) / np.var(targets) - 0.84) < 0.06


class TestNath2024:
    def test_normalised_outputs_of_one_or_two_numbers_are_constants(self, rng):
        """Post-LayerNorm without a head: one point for d = 1, two for d = 2."""
        for d, points in ((1, 1), (2, 2)):
            norm = LayerNorm(np.ones(d), np.zeros(d))
            found = np.asarray(norm(jnp.asarray(1e3 * rng.normal(size=(200, d)))))
            assert len(np.unique(found.round(3), axis=0)) == points
