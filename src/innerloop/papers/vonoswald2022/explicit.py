"""Prompts, and descent written out on their weights: what constructions are held against."""

import numpy as np
from jaxtyping import Array, Float

from innerloop.prompts import Prompt

EXACT = 1e-10
N, D, P = 7, 5, 3


def sampled(rng: np.random.Generator, *, n: int = N, d: int = D, p: int = P) -> Prompt:
    """Noisy linear targets of covariates in `[-1, 1]`; noise, so that no iterate is exact."""
    x, xq = rng.uniform(-1, 1, size=(n, d)), rng.uniform(-1, 1, size=(3, d))
    return Prompt(x, x @ rng.normal(size=(d, p)) + rng.normal(size=(n, p)), xq)


def descended(
    prompt: Prompt, weights: Float[np.ndarray, "p d"], rates: list[float]
) -> Float[np.ndarray, "m p"]:
    """The predictions after explicit steps on `1/(2n) sum_i |W x_i - y_i|^2`."""
    for rate in rates:
        weights = weights - rate / prompt.n * (prompt.x @ weights.T - prompt.y).T @ prompt.x
    return np.asarray(prompt.xq @ weights.T)


def apart(
    found: Float[Array | np.ndarray, "m p"], expected: Float[Array | np.ndarray, "m p"]
) -> float:
    """The largest difference, relative to the largest prediction."""
    return float(np.abs(np.asarray(found - expected)).max() / np.abs(np.asarray(expected)).max())
