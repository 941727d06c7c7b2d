r"""K-means: clusters of the inputs, and the mean target of each.

    a_ij = 1 where centroid j is nearest to x_i, else 0        c_j <- sum_i a_ij x_i / sum_i a_ij
                                                               v_j <- sum_i a_ij y_i / sum_i a_ij

The prediction is the value `v_j` of the query's nearest centroid: with `y = x` the vector quantiser
itself, otherwise regression by a constant on each cluster. An empty cluster keeps what it has.
Axes: `n` context examples, `d` covariates, `p` targets, `c` clusters.
Reference: Lloyd (1982); MacKay (2003), Algorithms 20.2 and 20.7.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.learners import Learner
from innerloop.tokens import CONTEXT


class Clusters(NamedTuple):
    """What k-means carries."""

    centroids: Float[Array, "c d"]
    values: Float[Array, "c p"]


def k_means(centroids: Float[Array | np.ndarray, "c d"]) -> Learner:
    r"""Lloyd's algorithm from given centroids; a token belongs to its nearest one.

    Args:
        centroids: Where the centroids start, `(c, d)`.

    Returns:
        The learner; its prediction is the value of the query's cluster, zero before the first step.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> x = [[0.0], [1.0], [8.0], [9.0]]
        >>> run(k_means(np.array([[0.0], [1.0]])), Prompt(x, x, [[4.0]]), steps=3)[:, 0, 0].tolist()
        [0.0, 6.0, 0.5, 0.5]

    References:
        Lloyd, Least Squares Quantization in PCM (1982); MacKay, Information Theory, Inference, and
        Learning Algorithms (2003), Algorithm 20.2.
    """

    def nearest(distances):
        wins = jnp.sum((distances[:, None] <= distances[None]).astype(distances.dtype), axis=1)
        return (wins > distances.size - 0.5).astype(distances.dtype)

    return _clustering(centroids, nearest)


def soft_k_means(centroids: Float[Array | np.ndarray, "c d"], *, stiffness: float) -> Learner:
    r"""Soft k-means: a token belongs to every cluster, by `softmax(-stiffness |x - c_j|^2)`.

    Args:
        centroids: Where the centroids start, `(c, d)`.
        stiffness: How hard the assignment is; k-means where it grows without end.

    Returns:
        The learner; its prediction is the mean of the clusters' values, weighted by the query's
        assignment; zero before the first step.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> x = [[0.0], [1.0], [8.0], [9.0]]
        >>> soft = soft_k_means(np.array([[0.0], [1.0]]), stiffness=20.0)
        >>> run(soft, Prompt(x, x, [[4.0]]), steps=3)[:, 0, 0].round(6).tolist()
        [0.0, 6.0, 0.5, 0.5]

    References:
        MacKay, Information Theory, Inference, and Learning Algorithms (2003), Algorithm 20.7.
    """
    return _clustering(centroids, lambda distances: jax.nn.softmax(-stiffness * distances))


def _clustering(centroids: Float[Array | np.ndarray, "c d"], assign: Callable) -> Learner:
    def init(x, y):
        start = jnp.asarray(centroids, x.dtype)
        return Clusters(start, jnp.zeros((start.shape[0], y.shape[0]), x.dtype)), ()

    def responsibilities(shared, x):
        return assign(jnp.sum((shared.centroids - x[None]) ** 2, axis=1))

    def step(shared, local, x, y):
        a = responsibilities(shared, x)
        share, points, targets = jax.lax.pmean((a, jnp.outer(a, x), jnp.outer(a, y)), CONTEXT)
        holds = (share > 0)[:, None]
        share = jnp.where(holds, share[:, None], 1.0)
        return Clusters(
            centroids=jnp.where(holds, points / share, shared.centroids),
            values=jnp.where(holds, targets / share, shared.values),
        ), local

    def predict(shared, local, x):
        del local
        return responsibilities(shared, x) @ shared.values

    return Learner(init, step, predict)
