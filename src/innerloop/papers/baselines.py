r"""Linear regression in context as Garg et al. draw it, and its baselines, many prompts at a time.

    x_i, w ~ N(0, I_d)      y_i = <w, x_i>      error = E (prediction - <w, x_q>)^2 / d

Axes: `b` prompts, `k` examples, `d` covariates.
Reference: Garg et al. (2022), arXiv:2208.01066, Section 3.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Batch(NamedTuple):
    """Prompts with a query each, and the queries' labels."""

    x: Float[np.ndarray, "b k d"]
    y: Float[np.ndarray, "b k"]
    query: Float[np.ndarray, "b d"]
    truth: Float[np.ndarray, " b"]


Baseline = Callable[[Batch], Float[np.ndarray, " b"]]


def linear(
    rng: np.random.Generator, prompts: int, examples: int, d: int, *, sparsity: int | None = None
) -> Batch:
    """Prompts of linear functions, dense or with a few weights that are not zero.

    Args:
        rng: The source of randomness.
        prompts: How many.
        examples: Context examples of each.
        d: Covariates.
        sparsity: How many weights are not zero; all by default.

    Returns:
        The prompts.
    """
    w = rng.normal(size=(prompts, d))
    if sparsity is not None:
        rank = rng.uniform(size=(prompts, d)).argsort(1).argsort(1)
        w = np.where(rank < sparsity, w, 0.0)
    x = rng.normal(size=(prompts, examples + 1, d))
    y = np.einsum("bkd,bd->bk", x, w)
    return Batch(x[:, :-1], y[:, :-1], x[:, -1], y[:, -1])


def least_squares(batch: Batch) -> Float[np.ndarray, " b"]:
    """The least-squares predictor of least norm."""
    inverse = np.linalg.pinv(batch.x)
    return np.einsum("bdk,bk,bd->b", inverse, batch.y, batch.query)


def averaging(batch: Batch) -> Float[np.ndarray, " b"]:
    """`<(1/k) sum_i y_i x_i, x_q>`."""
    return np.einsum("bkd,bk,bd->b", batch.x, batch.y, batch.query) / batch.x.shape[1]


def nearest(batch: Batch, *, neighbours: int = 3) -> Float[np.ndarray, " b"]:
    """The mean label of the nearest examples."""
    distance = np.sum((batch.x - batch.query[:, None]) ** 2, axis=2)
    order = np.argsort(distance, axis=1)[:, :neighbours]
    return np.take_along_axis(batch.y, order, axis=1).mean(1)


def lasso(
    batch: Batch, *, penalty: float, tolerance: float = 1e-5, sweeps: int = 3000
) -> Float[np.ndarray, " b"]:
    """The minimiser of `|y - X w|^2 / 2k + penalty |w|_1`, by coordinate descent.

    Args:
        batch: The prompts.
        penalty: The weight of the 1-norm, scikit-learn's `alpha`.
        tolerance: It ends once no weight moves by more in a sweep.
        sweeps: It ends after so many in any case.

    Returns:
        Predictions at the queries.
    """
    found, left = np.zeros_like(batch.query), np.arange(len(batch.y))
    x, residual, w = batch.x, batch.y.copy(), np.zeros_like(batch.query)
    for _ in range(sweeps):
        largest = _sweep(x, residual, w, penalty)
        found[left] = w
        moving = largest >= tolerance
        if 2 * moving.sum() <= len(left):  # what has converged is not swept again
            left, x, residual, w = left[moving], x[moving], residual[moving], w[moving]
        if not len(left):
            break
    return np.einsum("bd,bd->b", found, batch.query)


def _sweep(
    x: Float[np.ndarray, "b k d"],
    residual: Float[np.ndarray, "b k"],
    w: Float[np.ndarray, "b d"],
    penalty: float,
) -> Float[np.ndarray, " b"]:
    """Minimises by every weight in turn, in place; the largest move of each prompt."""
    count, largest = x.shape[1], np.zeros(len(x))
    for i in range(x.shape[2]):
        column = x[:, :, i]
        scale = np.einsum("bk,bk->b", column, column) / count
        pull = np.einsum("bk,bk->b", column, residual) / count + scale * w[:, i]
        moved = np.sign(pull) * np.maximum(np.abs(pull) - penalty, 0) / scale - w[:, i]
        residual -= column * moved[:, None]
        w[:, i] += moved
        largest = np.maximum(largest, np.abs(moved))
    return largest


def error(batch: Batch, said: Float[np.ndarray, " b"], *, divisor: int) -> tuple[float, float]:
    """The mean squared error and its standard error, both over `divisor`."""
    squares = (said - batch.truth) ** 2 / divisor
    return float(squares.mean()), float(squares.std() / len(squares) ** 0.5)
