"""Fu et al. (2023), Theorem 5.1."""

import numpy as np
import pytest

from innerloop import constructions
from tests.oracles import least_squares
from tests.registries import regression


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2, 5, 12])
def test_theorem_5_1_against_the_spectrum(steps, relu, rng):
    """`I - T_k S = (I - alpha S^2)^(2^k)`; twelve steps are least squares."""
    prompt = regression(rng)
    scale = 1 / np.linalg.eigvalsh(least_squares.second_moment(prompt)).max() ** 2
    expected = least_squares.iterates(prompt, least_squares.newton_schulz(scale), steps=steps)
    model = constructions.newton(d=3, p=2, steps=steps, scale=scale, relu=relu)
    np.testing.assert_allclose(model(prompt), expected[-1], rtol=1e-9, atol=1e-11)
    if steps == 12:
        exact = prompt.xq @ least_squares.solution(prompt).T
        np.testing.assert_allclose(model(prompt), exact, rtol=1e-9)


def test_depth_and_width():
    model = constructions.newton(d=3, p=2, steps=5, scale=0.2)
    assert (model.depth, model.width, model.sublayers) == (7, 10, 12)


def test_with_fewer_examples_than_covariates(rng):
    prompt = regression(rng, n=2)
    expected = prompt.xq @ least_squares.solution(prompt).T
    scale = 1 / np.linalg.eigvalsh(least_squares.second_moment(prompt)).max() ** 2
    found = constructions.newton(d=3, p=2, steps=20, scale=scale)(prompt)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
