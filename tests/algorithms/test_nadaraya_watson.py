import numpy as np
import pytest

import innerloop as il
from innerloop.algorithms import functional_gradient_descent, nadaraya_watson
from tests.oracles import kernels
from tests.registries import regression


@pytest.mark.parametrize("bandwidth", [0.2, 3.0])
def test_it_is_the_ratio_of_two_sums(bandwidth, rng):
    prompt = regression(rng)
    found = il.run(nadaraya_watson(bandwidth), prompt, steps=2)
    np.testing.assert_allclose(
        found[1], kernels.nadaraya_watson(prompt, bandwidth), rtol=1e-10, atol=1e-13
    )
    other = kernels.nadaraya_watson(prompt, bandwidth / np.sqrt(2))
    assert not np.allclose(found[1], other, rtol=1e-3)
    np.testing.assert_allclose(found[2], found[1], rtol=1e-13)
    assert (found[0] == 0).all()


def test_a_small_bandwidth_is_the_nearest_neighbour(rng):
    prompt = regression(rng)
    distances = np.linalg.norm(prompt.xq[:, None] - prompt.x[None], axis=2)
    found = il.run(nadaraya_watson(1e-3), prompt, steps=1)[1]
    np.testing.assert_allclose(found, prompt.y[distances.argmin(axis=1)], rtol=1e-10)


def test_on_the_sphere_it_is_a_step_of_softmax_attention(rng):
    prompt = regression(rng)
    x, xq = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (prompt.x, prompt.xq))
    sphere = il.Prompt(x, prompt.y, xq)
    found = il.run(nadaraya_watson(1.0), sphere, steps=1)
    expected = il.run(functional_gradient_descent(1.0, kernel="softmax"), sphere, steps=1)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
