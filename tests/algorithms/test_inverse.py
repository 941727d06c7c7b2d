import jax.numpy as jnp
import numpy as np
import pytest

from innerloop.algorithms._inverse import inverse, iterations_needed


@pytest.mark.parametrize(
    ("largest", "tolerance"), [(1.1, 1e-3), (2.0, 1e-6), (10.0, 1e-6), (1e4, 1e-10)]
)
def test_the_iterations_are_as_many_as_needed(largest, tolerance):
    """The residual at either end of the spectrum is the start's, squared every time."""
    count = iterations_needed(1.0, largest, tolerance)
    start = (largest - 1) / (largest + 1)
    assert start ** (2**count) <= tolerance * (1 + 1e-6)
    assert count == 0 or start ** (2 ** (count - 1)) > tolerance


@pytest.mark.parametrize("tolerance", [1e-2, 1e-6, 1e-12])
def test_the_residual_is_within_the_tolerance(tolerance, rng):
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    matrix = (basis * [0.5, 0.7, 1.1, 1.3, 2.0]) @ basis.T
    found = np.asarray(inverse(jnp.asarray(matrix), 0.5, 2.0, tolerance))
    residual = np.linalg.norm(np.eye(5) - matrix @ found, ord=2)
    assert residual <= tolerance + 1e-14
    if_one_less = np.asarray(inverse(jnp.asarray(matrix), 0.5, 2.0, tolerance**0.5))
    assert np.linalg.norm(np.eye(5) - matrix @ if_one_less, ord=2) > 10 * residual
