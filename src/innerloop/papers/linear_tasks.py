r"""What a construction does to linear tasks, without sampling tasks or queries.

A model that is linear in targets and in the query predicts `<x_q, M w>` for the task `y = <w, x>`,
with a matrix `M` that depends on the context's covariates. Targets `e_k` for every `k` at once and
queries `e_j` read it off. For `w ~ N(0, I)` and queries of covariance `C` the expected squared
error is `tr (M - I)^T C (M - I)`.
Axes: `b` contexts, `n` examples, `d` covariates.
"""

import jax
import numpy as np
from jaxtyping import Float

from innerloop.constructions import Construction
from innerloop.precision import in_precision
from innerloop.prompts import Prompt

CHUNK = 4000


def task_map(model: Construction, x: Float[np.ndarray, "b n d"]) -> Float[np.ndarray, "b d d"]:
    """The matrices `M` of a construction with as many targets as covariates.

    Example:
        >>> from innerloop.constructions import gradient_descent
        >>> model = gradient_descent(d=1, p=1, steps=1, learning_rate=0.25)
        >>> task_map(model, np.array([[[1.0], [1.0]]])).tolist()
        [[[0.25]]]
    """
    queries = np.broadcast_to(np.eye(model.d), (len(x), model.d, model.d))
    return predictions(model, x, x, queries)


def task_losses(
    maps: Float[np.ndarray, "b d d"], covariance: Float[np.ndarray, "d d"]
) -> Float[np.ndarray, " b"]:
    """The expected squared error over tasks and queries, context by context.

    Example:
        >>> task_losses(np.array([[[0.5]]]), np.array([[2.0]])).tolist()
        [0.5]
    """
    wrong = maps - np.eye(maps.shape[1])
    return np.einsum("bij,ik,bkj->b", wrong, covariance, wrong)


def predictions(
    model: Construction,
    x: Float[np.ndarray, "b n d"],
    y: Float[np.ndarray, "b n p"],
    xq: Float[np.ndarray, "b m d"],
) -> Float[np.ndarray, "b m p"]:
    """The predictions of a construction on many prompts of one size, a chunk at a time."""
    run = jax.vmap(lambda *prompt: model(Prompt(*prompt)))  # compiled inside, once for a shape
    parts = [slice(start, start + CHUNK) for start in range(0, len(x), CHUNK)]
    dtype = str(model.embed.dtype)
    return np.concatenate([in_precision(run, dtype, x[p], y[p], xq[p]) for p in parts])
