"""Batches with an exact symmetry."""

import numpy as np

from innerloop.papers.symmetry import off_identity, signed_permutations, symmetric_root


def test_signed_permutations_are_a_group_of_rotations_and_reflections():
    group = signed_permutations(3)
    assert len(np.unique(group.reshape(48, 9), axis=0)) == 48
    np.testing.assert_array_equal(group @ group.swapaxes(1, 2), np.tile(np.eye(3), (48, 1, 1)))
    assert {tuple((a @ b).ravel()) for a in group for b in group[:5]} == {
        tuple(a.ravel()) for a in group
    }


def test_what_is_averaged_over_the_group_is_a_multiple_of_the_identity(rng):
    matrix, group = rng.normal(size=(3, 3)), signed_permutations(3)
    mean = np.mean(group @ matrix @ group.swapaxes(1, 2), axis=0)
    np.testing.assert_allclose(mean, np.trace(matrix) / 3 * np.eye(3), atol=1e-12)
    assert off_identity(mean) < 1e-12
    assert off_identity(matrix[None]) > 0.1


def test_the_symmetric_root():
    covariance = np.array([[1.0, 0.3], [0.3, 0.5]])
    root = symmetric_root(covariance)
    np.testing.assert_allclose(root @ root, covariance, rtol=1e-12)
    np.testing.assert_allclose(root, root.T, rtol=1e-12)
