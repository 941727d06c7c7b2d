"""Batches of prompts with an exact symmetry: what holds for rotations in law holds to rounding.

Matrices that commute with all signed permutations are multiples of the identity, as are those that
commute with all rotations; so a batch that holds every prompt under all `2^d d!` signed
permutations stands in for a law that rotations leave alone, without sampling error.
"""

import itertools

import numpy as np
from jaxtyping import Float


def signed_permutations(d: int) -> Float[np.ndarray, "g d d"]:
    """All `2^d d!` matrices with one entry of 1 or -1 in each row and column.

    Example:
        >>> signed_permutations(3).shape
        (48, 3, 3)
    """
    signs = np.array(list(itertools.product([1.0, -1.0], repeat=d)))
    orders = np.eye(d)[np.array(list(itertools.permutations(range(d))))]
    return (signs[:, None, :, None] * orders[None]).reshape(-1, d, d)


def off_identity(matrices: Float[np.ndarray, "*l d d"]) -> float:
    """The largest entry of matrices less their nearest multiples of the identity.

    Example:
        >>> off_identity(np.array([[1.0, 0.5], [0.0, 3.0]]))
        1.0
    """
    d = matrices.shape[-1]
    means = np.trace(matrices, axis1=-2, axis2=-1) / d
    return float(np.abs(matrices - means[..., None, None] * np.eye(d)).max())


def symmetric_root(covariance: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """The symmetric square root of a covariance.

    Example:
        >>> symmetric_root(np.diag([4.0, 9.0])).tolist()
        [[2.0, 0.0], [0.0, 3.0]]
    """
    eigenvalues, basis = np.linalg.eigh(covariance)
    return (basis * eigenvalues**0.5) @ basis.T
