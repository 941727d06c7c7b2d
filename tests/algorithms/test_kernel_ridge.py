import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

import innerloop as il
from innerloop.algorithms import functional_gradient_descent, kernel_ridge, ridge
from tests.oracles import kernels
from tests.registries import RBF, regression


@pytest.mark.parametrize("kernel", ["relu", "rbf", "softmax"])
def test_closed_form(kernel, rng):
    prompt = regression(rng)
    learner = kernel_ridge(0.1, 0.5, kernel=il.Kernel(kernel, bandwidth=0.7))
    expected = kernels.kernel_ridge(prompt, 0.1, 0.5, kernel, steps=5, bandwidth=0.7)
    np.testing.assert_allclose(il.run(learner, prompt, steps=5), expected, rtol=1e-10, atol=1e-12)


def test_many_steps_meet_kernel_ridge_regression(rng):
    prompt = regression(rng)
    found = il.run(kernel_ridge(0.1, 1.0, kernel=RBF), prompt, steps=300)[-1]
    model = KernelRidge(alpha=0.1 * prompt.n, kernel="rbf", gamma=1 / (2 * RBF.bandwidth**2))
    np.testing.assert_allclose(found, model.fit(prompt.x, prompt.y).predict(prompt.xq), rtol=1e-9)


def test_without_penalty_it_is_functional_gradient_descent(rng):
    prompt = regression(rng)
    penalised, free = (
        il.run(kernel_ridge(penalty, 0.5, kernel=RBF), prompt, steps=5) for penalty in (0.1, 0.0)
    )
    expected = il.run(functional_gradient_descent(0.5, kernel=RBF), prompt, steps=5)
    np.testing.assert_allclose(free, expected, rtol=1e-10, atol=1e-13)
    assert not np.allclose(penalised[2:], expected[2:], rtol=1e-3)


def test_with_the_linear_kernel_it_meets_ridge_regression(rng):
    prompt = regression(rng)
    found = il.run(kernel_ridge(0.1, 1.0, kernel="linear"), prompt, steps=300)[-1]
    expected = il.run(ridge(0.1, bound=3.0, tolerance=1e-12), prompt, steps=1)[-1]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
