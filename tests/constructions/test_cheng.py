"""Cheng, Chen and Sra (2023): functional gradient descent by attention."""

import numpy as np
import pytest

import innerloop as il
from innerloop.constructions import KernelHead, functional_gradient_descent
from tests.oracles import kernels
from tests.registries import regression

NAMES = ("linear", "relu", "exp", "softmax")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_proposition_1_by_powers_of_the_gram_matrix(name, steps, rng):
    prompt = regression(rng)
    expected = kernels.functional_gradient_descent(prompt, 0.3, name, steps=steps)[-1]
    heads = [KernelHead(il.Kernel(name))]
    model = functional_gradient_descent(heads, d=3, p=2, steps=steps, learning_rate=0.3)
    np.testing.assert_allclose(model(prompt), expected, rtol=1e-9, atol=1e-11)


def test_proposition_1_with_another_kernel_is_another_predictor(rng):
    prompt = regression(rng)
    found = [
        functional_gradient_descent(
            [KernelHead(il.Kernel(name))], d=3, p=2, steps=2, learning_rate=0.3
        )(prompt)
        for name in NAMES
    ]
    for i, one in enumerate(found):
        assert all(np.abs(one - other).max() > 1e-3 for other in found[:i])


def small(rng):
    """Five examples: their Gram matrix of `exp` is well conditioned."""
    return il.Prompt(2 * rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), rng.normal(size=(7, 3)))


def test_proposition_2_the_limit_is_the_bayes_estimator(rng):
    """The mean of the Gaussian process whose covariance is the attention's kernel, here RBF."""
    prompt = small(rng)
    gram = kernels.matrix(prompt.x, prompt.x, "rbf")
    expected = kernels.matrix(prompt.xq, prompt.x, "rbf") @ np.linalg.solve(gram, prompt.y)
    rate = prompt.n / np.linalg.eigvalsh(gram).max()
    settings = {"d": 3, "p": 2, "learning_rate": rate}
    deep = functional_gradient_descent([KernelHead(il.Kernel("rbf"))], steps=3000, **settings)
    np.testing.assert_allclose(deep(prompt), expected, rtol=0, atol=1e-6)
    other = functional_gradient_descent([KernelHead(il.Kernel("relu"))], steps=50, **settings)
    assert np.abs(other(prompt) - expected).max() > 0.1


def test_composite_kernels_are_sums_over_heads(rng):
    """Equation 3.14: `0.3 k_lin(G_1 u, G_1 v) + 0.7 k_exp(G_2 u, G_2 v)`, the printed recursion."""
    prompt = regression(rng)
    one, two = rng.normal(size=(2, 3)), rng.normal(size=(1, 3))
    heads = [
        KernelHead(il.Kernel("linear"), weight=0.3, key=one),
        KernelHead(il.Kernel("exp"), weight=0.7, key=two),
    ]
    model = functional_gradient_descent(heads, d=3, p=2, steps=5, learning_rate=0.3)

    def kernel(u, v):
        linear = kernels.matrix(u @ one.T, v @ one.T, "linear")
        return 0.3 * linear + 0.7 * kernels.matrix(u @ two.T, v @ two.T, "exp")

    residual, answer = prompt.y, np.zeros((prompt.m, prompt.p))
    for _ in range(5):
        answer = answer + 0.3 / prompt.n * kernel(prompt.xq, prompt.x) @ residual
        residual = residual - 0.3 / prompt.n * kernel(prompt.x, prompt.x) @ residual
    np.testing.assert_allclose(model(prompt), answer, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_full_recursion_moves_covariates(name, steps, rng):
    """`X <- X + A X M h(BX, CX)`, `Y <- Y - r Y M h(BX, CX)`, tokens in rows."""
    prompt = regression(rng)
    a, b, c = 0.3 * rng.normal(size=(3, 3, 3))
    heads = [KernelHead(il.Kernel(name), key=b, query=c, transform=a)]
    model = functional_gradient_descent(heads, d=3, p=2, steps=steps, learning_rate=0.4)
    n = 1 if name == "softmax" else prompt.n
    x, y = np.vstack([prompt.x, prompt.xq]), np.vstack([prompt.y, np.zeros((7, 2))])
    for _ in range(steps):
        weights = kernels.matrix(x @ c.T, x[: prompt.n] @ b.T, name) / n
        x, y = x + weights @ x[: prompt.n] @ a.T, y - 0.4 * weights @ y[: prompt.n]
    np.testing.assert_allclose(model(prompt), -y[prompt.n :], rtol=1e-9, atol=1e-11)
