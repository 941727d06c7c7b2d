"""von Oswald et al. (2023): least squares in sequence models."""

import numpy as np
import pytest

import innerloop as il
from innerloop import algorithms, constructions
from tests.oracles import least_squares
from tests.registries import WEIGHTS, regression


@pytest.mark.parametrize(("d", "p"), [(3, 2), (2, 5), (3, 3)])
def test_proposition_1(d, p, rng):
    x, y, xq = (rng.normal(size=shape) for shape in [(13, d), (13, p), (7, d)])
    weights = rng.normal(size=(p, d))
    moved = weights + 0.05 * (y - x @ weights.T).T @ x
    model = constructions.autoregressive_step(learning_rate=0.05, weights=weights)
    np.testing.assert_allclose(model(il.Prompt(x, y, xq)), xq @ moved.T, rtol=1e-10)


def test_its_step_is_beside_a_sum(rng):
    prompt = regression(rng)
    expected = il.run(algorithms.gradient_descent(0.8, weights=WEIGHTS), prompt, steps=1)[-1]
    found = [
        constructions.autoregressive_step(learning_rate=rate, weights=WEIGHTS)(prompt)
        for rate in (0.8 / prompt.n, 0.8)
    ]
    np.testing.assert_allclose(found[0], expected, rtol=1e-10)
    assert not np.allclose(found[1], expected, rtol=1e-2)


PENALTY = 0.7


def system_of(prompt):
    return prompt.x.T @ prompt.x + PENALTY * np.eye(3)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_proposition_2_is_the_printed_recursion(steps, rng):
    prompt = regression(rng)
    alphas, betas = 0.1 + 0.05 * rng.uniform(size=(2, steps))
    model = constructions.momentum_inverse(
        d=3, p=2, alphas=alphas.tolist(), betas=betas.tolist(), penalty=PENALTY
    )
    z = before = np.zeros((7, 3))
    for alpha, beta in zip(alphas, betas, strict=True):
        residual = prompt.xq - z @ system_of(prompt)
        z, before = z + alpha * residual + beta * (z - before), z
    np.testing.assert_allclose(model(prompt), z @ prompt.x.T @ prompt.y, rtol=1e-10, atol=1e-12)
    assert model.depth == steps + 1


def test_with_chebyshev_coefficients_it_converges_as_fast_as_promised(rng):
    """`2 rho^k` of the first error at most, `rho = (sqrt kappa - 1) / (sqrt kappa + 1)`."""
    prompt = regression(rng)
    low, high = (float(v) for v in np.linalg.eigvalsh(system_of(prompt))[[0, -1]])
    expected = least_squares.ridge(prompt, PENALTY / prompt.n)
    root = np.sqrt(high / low)
    rho = (root - 1) / (root + 1)
    errors = []
    settings = {"d": 3, "p": 2, "penalty": PENALTY}
    for steps in (2, 5, 10):
        alphas, betas = constructions.chebyshev_coefficients(low, high, steps)
        model = constructions.momentum_inverse(alphas=alphas, betas=betas, **settings)
        errors.append(np.abs(model(prompt) - expected).max())
        scale = np.linalg.norm(prompt.x.T @ prompt.y) * np.linalg.norm(prompt.xq, axis=1).max()
        assert errors[-1] <= 2 * rho**steps * scale / low
    plain = constructions.momentum_inverse(
        alphas=(2 / (low + high),) * 10, betas=(1e-9,) * 10, **settings
    )
    assert np.abs(plain(prompt) - expected).max() > 2 * errors[2]


def test_the_mesa_layer_is_ridge_regression(rng):
    prompt = regression(rng)
    found = constructions.mesa_layer(d=3, p=2, penalty=PENALTY)(prompt)
    expected = least_squares.ridge(prompt, PENALTY / prompt.n)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert not np.allclose(least_squares.ridge(prompt, PENALTY), expected, rtol=1e-2)


def test_for_a_large_penalty_it_is_linear_attention(rng):
    prompt = regression(rng)
    found = 1e9 * constructions.mesa_layer(d=3, p=2, penalty=1e9)(prompt)
    np.testing.assert_allclose(found, prompt.xq @ prompt.x.T @ prompt.y, rtol=1e-7, atol=1e-8)
