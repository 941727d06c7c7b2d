"""Losses of the sparse families of Ahn et al. (2023) from spectra, against their layers."""

import numpy as np
import pytest

import innerloop as il
from innerloop import constructions
from innerloop.constructions import best_spectral_steps, spectral_residuals, whitened_spectra

STEPS, TRANSFORMS = np.array([0.4, 1.3, 2.1]), np.array([0.9, 0.5, 0.0])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_residuals_are_those_of_the_layers_at_eigenvectors(depth, rng):
    """Targets `y = x` make the layers print `I - p(S)`, here for a covariance that is not I."""
    root = np.array([[1.0, 0.0, 0.0], [0.3, 0.7, 0.0], [0.1, -0.2, 0.5]])
    white = rng.normal(size=(11, 3))
    s, basis = np.linalg.eigh(white.T @ white / 11)
    inverse = np.linalg.inv(root @ root.T)
    model = constructions.preconditioned_gradient_descent(
        STEPS[:depth, None, None] * inverse,
        p=3,
        transforms=TRANSFORMS[:depth, None, None] * np.eye(3),
    )
    whitened = model(il.Prompt(white @ root.T, white, basis.T @ root.T)) @ basis
    left = spectral_residuals(s[None], STEPS[:depth], TRANSFORMS[:depth])[-1, 0]
    np.testing.assert_allclose(whitened, np.diag(1 - left), atol=1e-12)


def test_the_best_single_step_is_a_ratio_of_moments(rng):
    s = whitened_spectra(rng, prompts=200, n=7, d=3)
    best = best_spectral_steps(s, 1, transforms=False, starts=[np.zeros(1)])
    np.testing.assert_allclose(best.steps, s.sum() / (s**2).sum(), rtol=1e-5)
    expected = 3 - s.sum() ** 2 / (s**2).sum() / len(s)
    np.testing.assert_allclose(best.loss, expected, rtol=1e-9)


def test_transforms_can_only_help_and_the_last_is_never_seen(rng):
    s = whitened_spectra(rng, prompts=300, n=7, d=3)
    plain, start = (
        best_spectral_steps(s, 2, transforms=t, starts=[np.array([-0.7, 0.7, b])])
        for t, b in ((False, 0.0), (True, 0.5))
    )
    assert start.loss < 0.8 * plain.loss
    assert start.transforms[-1] == 0
    assert plain.steps[0] < plain.steps[1]
    with np.errstate(all="raise"):
        other = start.transforms + np.array([0.0, 1.0])
        seen = [spectral_residuals(s, start.steps, t)[-1] for t in (start.transforms, other)]
    np.testing.assert_array_equal(*seen)


def test_the_best_of_several_starts_is_taken(rng):
    s = whitened_spectra(rng, prompts=100, n=7, d=3)
    starts = [np.array([-3.0, 3.0, 3.0]), np.array([-0.7, 0.7, 0.5])]
    both = best_spectral_steps(s, 2, transforms=True, starts=starts)
    alone = [best_spectral_steps(s, 2, transforms=True, starts=[start]) for start in starts]
    np.testing.assert_allclose(both.loss, min(end.loss for end in alone), rtol=1e-12)
