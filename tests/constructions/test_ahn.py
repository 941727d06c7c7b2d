"""Ahn et al. (2023); Zhang, Frei and Bartlett (2023); Mahankali, Hashimoto and Ma (2023)."""

import itertools

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import innerloop as il
from innerloop import constructions
from innerloop.constructions import preconditioned_gradient_descent
from tests.oracles import least_squares
from tests.registries import PRECONDITIONER, regression

COVARIANCE = np.array([[1.0, 0.3], [0.3, 0.5]])


def recursion(prompt, steps, transforms):
    """`Z <- Z + (1/n) P Z M (Z^T Q Z)` as printed, columns for tokens, one query at a time."""
    found = []
    for query in prompt.xq:
        z = np.zeros((prompt.d + prompt.p, prompt.n + 1))
        z[: prompt.d] = np.vstack([prompt.x, query]).T
        z[prompt.d :, : prompt.n] = prompt.y.T
        mask = np.diag([1.0] * prompt.n + [0.0])
        for step, transform in zip(steps, transforms, strict=True):
            outer = np.eye(len(z))
            outer[: prompt.d, : prompt.d] = transform
            inner = np.zeros((len(z), len(z)))
            inner[: prompt.d, : prompt.d] = -step
            z = z + outer @ z @ mask @ (z.T @ inner @ z) / prompt.n
        found.append(-z[prompt.d :, -1])
    return np.array(found)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_sparse_families_are_the_printed_recursion(depth, rng):
    prompt = regression(rng)
    steps, transforms = 0.4 * rng.normal(size=(2, depth, 3, 3))
    found = preconditioned_gradient_descent(steps, p=2, transforms=transforms)(prompt)
    np.testing.assert_allclose(found, recursion(prompt, steps, transforms), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_lemma_1_with_the_transpose(depth, rng):
    prompt = regression(rng)
    expected = least_squares.preconditioned(prompt, PRECONDITIONER.T, steps=depth)[-1]
    found = preconditioned_gradient_descent(PRECONDITIONER[None], p=2, repeats=depth)(prompt)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_gd_plus_plus_is_its_isotropic_form(depth, rng):
    prompt, eye = regression(rng), np.eye(3)[None]
    found = preconditioned_gradient_descent(
        0.8 * eye, p=2, transforms=0.3 / 0.8 * eye, repeats=depth
    )(prompt)
    expected = constructions.gd_plus_plus(d=3, p=2, steps=depth, learning_rate=0.8, curvature=0.3)
    np.testing.assert_allclose(found, expected(prompt), rtol=1e-10, atol=1e-12)


def test_the_last_transform_is_never_seen(rng):
    prompt, (steps, transforms) = regression(rng), 0.4 * rng.normal(size=(2, 3, 3, 3))
    expected = preconditioned_gradient_descent(steps, p=2, transforms=transforms)(prompt)
    for layer in range(3):
        other = transforms + np.eye(3)[layer][:, None, None]
        found = preconditioned_gradient_descent(steps, p=2, transforms=other)(prompt)
        assert np.allclose(found, expected, rtol=1e-9) == (layer == 2)


def test_lemma_4_layers_of_one_shape_commute(rng):
    """`A_l = a_l Sigma^{-1}` in any order is one predictor, and with different shapes it is not."""
    prompt, scales = regression(rng), np.array([0.421, 0.687, 1.711])
    shape = np.array([[1.0, 0.2, 0.0], [0.2, 0.5, 0.1], [0.0, 0.1, 2.0]])
    found = [
        preconditioned_gradient_descent(np.array(order)[:, None, None] * shape, p=2)(prompt)
        for order in itertools.permutations(scales)
    ]
    np.testing.assert_allclose(found, np.broadcast_to(found[0], (6, 7, 2)), rtol=1e-10, atol=1e-13)
    shapes = np.stack([np.diag([1.0, 0.0, 0.5]), shape, np.eye(3)])
    orders = [preconditioned_gradient_descent(s, p=2)(prompt) for s in (shapes, shapes[::-1])]
    assert not np.allclose(*orders, rtol=1e-3)


def nodes(covariance, points):
    """Contexts and weights of a quadrature that is exact for polynomials of degree 9."""
    x, w = np.polynomial.hermite_e.hermegauss(5)
    d = len(covariance)
    grid = np.array(list(itertools.product(x, repeat=points * d))).reshape(-1, points, d)
    weights = np.array([np.prod(c) for c in itertools.product(w / w.sum(), repeat=points * d)])
    return grid @ np.linalg.cholesky(covariance).T, weights


def expected_loss(step, covariance, noise=0.0):
    """The error of one layer with two context examples, `w ~ N(0, I)`, without any formula."""
    x, weights = nodes(covariance, 2)
    moment = np.einsum("bni,bnj->bij", x, x) / 2
    wrong = step @ moment - np.eye(len(covariance))
    errors = np.einsum("bik,bjk,ij->b", wrong, wrong, covariance)
    errors += noise / 4 * np.einsum("ij,bnj,bnk,lk,li->b", step, x, x, step, covariance)
    return weights @ errors


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_theorem_1_is_the_minimum_for_any_covariance(noise):
    best, loss = constructions.linear_optimum(COVARIANCE, 2, noise=noise)
    np.testing.assert_allclose(expected_loss(best, COVARIANCE, noise), loss, rtol=1e-12)
    for direction in np.eye(4).reshape(4, 2, 2):
        up, down = (expected_loss(best + h * direction, COVARIANCE, noise) for h in (0.1, -0.1))
        np.testing.assert_allclose(up, down, rtol=1e-11)
        assert up > loss + 1e-3


def test_theorem_1_in_the_printed_form():
    """`U diag(1 / ((n+1)/n lambda_i + (1/n) sum lambda)) U^T`, and the value at d = 5, n = 20."""
    eigenvalues = np.array([1, 1, 0.25, 0.0625, 1])
    best, loss = constructions.linear_optimum(np.diag(eigenvalues), 20)
    np.testing.assert_allclose(
        np.diag(best), 1 / (21 / 20 * eigenvalues + eigenvalues.sum() / 20), rtol=1e-12
    )
    np.testing.assert_allclose(loss, 0.68176, atol=1e-5)


def test_mahankali_with_noise():
    """`1 / (n + d + 1 + s^2)` beside a sum over the context."""
    best, _ = constructions.linear_optimum(np.eye(5), 11, noise=0.3)
    np.testing.assert_allclose(best / 11, np.eye(5) / (11 + 5 + 1 + 0.3), rtol=1e-12)


def test_theorem_5_relu(rng):
    """The loss is quadratic in the step; its coefficients, by Monte Carlo on the construction."""
    d, n, prompts = 3, 7, 4000
    best, loss = constructions.relu_optimum(d, n)
    step = best[0, 0]
    model = preconditioned_gradient_descent(best[None], p=d, kernel=il.Kernel("relu"))
    x, xq = rng.normal(size=(prompts, n, d)), rng.normal(size=(prompts, d))
    scores = np.maximum(-step * np.einsum("bnd,bd->bn", x, xq), 0)
    shifts = -np.einsum("bn,bnd->bd", scores, x) / n  # targets y = x answer for every task
    found = model(il.Prompt(x[0], x[0], xq[:1]))
    np.testing.assert_allclose(found[0], shifts[0], rtol=1e-10)
    errors = ((shifts - xq) ** 2).sum(1)
    assert abs(errors.mean() - loss) < 3 * errors.std() / np.sqrt(prompts)
    slopes = ((shifts - xq) * shifts).sum(1)
    assert abs(slopes.mean()) < 3 * slopes.std() / np.sqrt(prompts)
    assert loss > constructions.linear_optimum(np.eye(d), n).loss


def test_gradient_flow_ends_at_its_limit():
    """On `L = (u^2 tr(Lambda A Gamma Lambda A^T) - 2 u tr(Lambda A Lambda)) / 2`."""
    n = 7
    gamma = np.linalg.inv(constructions.linear_optimum(COVARIANCE, n).preconditioner)

    def flow(_, state):
        value, matrix = state[0], state[1:].reshape(2, 2)
        common = COVARIANCE @ (value * matrix @ gamma @ COVARIANCE - COVARIANCE)
        return np.concatenate([[-np.sum(common * matrix)], (-value * common).ravel()])

    root = np.array([[0.8, 0.1], [0.3, 0.5]])
    start = root @ root.T / np.linalg.norm(root @ root.T)
    ended = solve_ivp(
        flow, (0, 600), np.concatenate([[0.1], 0.1 * start.ravel()]), rtol=1e-10, atol=1e-12
    ).y[:, -1]
    limit = constructions.gradient_flow_limit(COVARIANCE, n)
    np.testing.assert_allclose(ended[0], limit.value, rtol=1e-5)
    np.testing.assert_allclose(ended[1:].reshape(2, 2), limit.key_query, atol=1e-5)
    printed = np.trace(np.linalg.inv(gamma @ gamma)) ** 0.25
    np.testing.assert_allclose(limit.value, printed, rtol=1e-12)


def test_both_papers_train_to_one_layer():
    limit = constructions.gradient_flow_limit(COVARIANCE, 7)
    best = constructions.linear_optimum(COVARIANCE, 7).preconditioner
    np.testing.assert_allclose(limit.value * limit.key_query, best, rtol=1e-12)


def test_the_risk_of_a_prompt_of_another_length():
    """Trained for 11 examples, tested on 2: against quadrature over the two examples."""
    weights = np.array([0.7, -1.2])
    inverse = constructions.linear_optimum(COVARIANCE, 11).preconditioner
    x, measure = nodes(COVARIANCE, 2)
    wrong = np.einsum("bni,bnj,j->bi", x, x, weights) / 2 @ inverse.T - weights
    expected = measure @ np.einsum("bi,ij,bj->b", wrong, COVARIANCE, wrong)
    image = COVARIANCE @ weights
    spread = COVARIANCE * (weights @ image) + np.outer(image, image)
    found = constructions.prompt_risk(COVARIANCE, 11, 2, weights, spread)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert not np.isclose(constructions.prompt_risk(COVARIANCE, 2, 2, weights, spread), expected)


def test_another_covariance_biases_the_mean_prediction():
    weights, query = np.array([0.7, -1.2]), np.array([0.4, 0.9])
    shifted = np.array([[0.5, -0.2], [-0.2, 2.0]])
    inverse = constructions.linear_optimum(COVARIANCE, 11).preconditioner
    x, measure = nodes(shifted, 1)
    predictions = np.einsum("bni,bnj,j->bi", x, x, weights) @ inverse.T @ query
    bias = query @ constructions.shift_bias(COVARIANCE, 11, shifted) @ weights
    np.testing.assert_allclose(measure @ predictions - query @ weights, bias, rtol=1e-12)
    many = constructions.shift_bias(COVARIANCE, 10**9, COVARIANCE)
    np.testing.assert_allclose(many, 0.0, atol=1e-8)
