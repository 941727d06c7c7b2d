import numpy as np
import pytest

import innerloop as il
from innerloop.algorithms import functional_gradient_descent, gradient_descent
from tests.oracles import kernels
from tests.registries import regression

KERNELS = ("linear", "relu", "exp", "rbf", "softmax")


@pytest.mark.parametrize("kernel", KERNELS)
def test_closed_form_of_this_kernel_and_of_no_other(kernel, rng):
    prompt = regression(rng)
    learner = functional_gradient_descent(0.5, kernel=il.Kernel(kernel, bandwidth=0.7))
    found = il.run(learner, prompt, steps=5)
    for other in KERNELS:
        expected = kernels.functional_gradient_descent(prompt, 0.5, other, steps=5, bandwidth=0.7)
        if other == kernel:
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)
        else:
            assert not np.allclose(found, expected, rtol=1e-3)


def test_with_the_linear_kernel_it_is_gradient_descent(rng):
    prompt = regression(rng)
    found = il.run(functional_gradient_descent(0.8, kernel="linear"), prompt, steps=5)
    expected = il.run(gradient_descent(0.8), prompt, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_many_steps_interpolate(rng):
    """At the context's own inputs the predictions become the targets."""
    prompt = regression(rng, n=5)
    at_context = il.Prompt(prompt.x, prompt.y, prompt.x)
    learner = functional_gradient_descent(2.0, kernel=il.Kernel("rbf", bandwidth=0.5))
    np.testing.assert_allclose(il.run(learner, at_context, steps=2000)[-1], prompt.y, atol=1e-9)
