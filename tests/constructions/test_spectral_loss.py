"""The loss from the spectrum against layers that run, and its minimum against closed forms."""

import numpy as np
import pytest

from innerloop import constructions
from innerloop.papers.linear_tasks import task_losses, task_map

N, D = 7, 5


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_spectrum_knows_what_layers_of_gd_plus_plus_leave(steps, rng):
    x = rng.normal(size=(11, N, D))
    model = constructions.gd_plus_plus(d=D, p=D, steps=steps, learning_rate=0.4, curvature=0.1)
    found = task_losses(task_map(model, x), np.eye(D)).mean()
    values = constructions.spectra(x)
    rates, curvatures = np.full(steps, 0.4), np.full(steps, 0.1)
    expected = constructions.spectral_loss(values, rates, curvatures)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    other = constructions.spectral_loss(values, rates, 0 * curvatures)
    assert (abs(other / expected - 1) > 1e-2) == (steps > 1)


def test_step_sizes_of_their_own_are_family_11_of_ahn_et_al(rng):
    """The last layer's curvature never reaches a prediction."""
    x = rng.normal(size=(3, N, D))
    rates, curvatures = np.array([0.3, 0.5, 0.4]), np.array([0.1, 0.2, 0.9])
    eye = np.eye(D)[None]
    model = constructions.preconditioned_gradient_descent(
        rates[:, None, None] * eye,
        p=D,
        transforms=(curvatures / rates)[:, None, None] * eye,
    )
    found = task_losses(task_map(model, x), np.eye(D)).mean()
    values = constructions.spectra(x)
    for last in (0.9, 0.0):
        expected = constructions.spectral_loss(values, rates, np.array([0.1, 0.2, last]))
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_one_step_is_found_in_closed_form(rng):
    values = constructions.spectra(rng.normal(size=(50, N, D)))
    schedule = constructions.best_schedule(values, 1)
    np.testing.assert_allclose(schedule.learning_rates, values.sum() / (values**2).sum(), rtol=1e-4)


def test_free_step_sizes_reach_the_roots_of_a_known_spectrum():
    """Two eigenvalues take two steps; a shared step size cannot, GD++ with two numbers can."""
    values = np.array([[0.5, 2.0]])
    free = constructions.best_schedule(values, 2, tied=False)
    np.testing.assert_allclose(np.sort(free.learning_rates), [0.5, 2.0], rtol=1e-2)
    assert free.loss < 1e-4
    shared = constructions.best_schedule(values, 2)
    grid = np.linspace(0.1, 1.2, 11_001)
    losses = ((1 - grid[:, None] * values) ** 4).sum(1)
    np.testing.assert_allclose(shared.learning_rates, grid[losses.argmin()], atol=2e-4)
    np.testing.assert_allclose(shared.loss, losses.min(), rtol=1e-6)
    assert constructions.best_schedule(values, 2, curved=True).loss < shared.loss
