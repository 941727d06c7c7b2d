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


def lasso(batch: Batch, *, penalty: float, sweeps: int = 300) -> Float[np.ndarray, " b"]:
    """The minimiser of `|y - X w|^2 / 2k + penalty |w|_1`, by coordinate descent."""
    x, count = batch.x, batch.x.shape[1]
    scale = np.einsum("bkd,bkd->bd", x, x) / count
    w, residual = np.zeros_like(scale), batch.y.copy()
    for _ in range(sweeps):
        for i in range(x.shape[2]):
            pull = np.einsum("bk,bk->b", x[:, :, i], residual) / count + scale[:, i] * w[:, i]
            moved = np.sign(pull) * np.maximum(np.abs(pull) - penalty, 0) / scale[:, i]
            residual -= x[:, :, i] * (moved - w[:, i])[:, None]
            w[:, i] = moved
    return np.einsum("bd,bd->b", w, batch.query)


def error(batch: Batch, said: Float[np.ndarray, " b"], *, divisor: float) -> tuple[float, float]:
    """The mean squared error and its standard error, both over `divisor`."""
    squares = (said - batch.truth) ** 2 / divisor
    return float(squares.mean()), float(squares.std() / len(squares) ** 0.5)
