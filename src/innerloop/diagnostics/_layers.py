r"""Which step of an algorithm each layer of a model has come to.

    D_lk = sqrt(E |f_l - g_k|^2 / max(E |f_l|^2, E |g_k|^2))       S_lk = E cos(f_l - y, g_k - y)

`f_l` is the prediction read out of the residual stream after layer `l`, `g_k` the algorithm's after
`k` steps. `D` is zero where they are the same function on the prompts given, and one for a zero
predictor against any other. `S`, the similarity of errors of the literature, is large for any two
good predictors. Every sequence of predictors has a nearest step in every layer; evidence is a small
difference, and the law by which the nearest step grows with the layer, which must be better than
that of another algorithm.
Axes: `b` prompts, `l` layers, `k` steps, `m` queries, `p` targets.
References: Fu et al. (2023), arXiv:2310.17086, Section 4 and Figure 3; von Oswald et al. (2023),
arXiv:2212.07677, Section 3.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from innerloop.diagnostics._predictors import Prompts, batch, mapped
from innerloop.learners import Learner, run
from innerloop.models import InContextTransformer
from innerloop.prompts import Prompt

Sequence = Callable[[Prompt], Float[Array | np.ndarray, "k m p"]]

RESAMPLES = 200
TINY = 1e-30


class LayerMatches(NamedTuple):
    """The layers of a model against the steps of an algorithm.

    Args:
        differences: `D`.
        similarities: `S`; None where no answers were given.
        nearest: By layer, the step of least difference.
        support: By layer, the share of resamples of the prompts in which that step is the nearest.
    """

    differences: Float[np.ndarray, "l k"]
    similarities: Float[np.ndarray, "l k"] | None
    nearest: Int[np.ndarray, " l"]
    support: Float[np.ndarray, " l"]


def readouts(model: InContextTransformer) -> Sequence:
    """What a trained model would predict if it ended after each layer.

    Args:
        model: A model that `innerloop.models.SelfAttention` made.

    Returns:
        From a prompt to predictions `(depth + 1, m, p)`, the first before any layer.

    Example:
        >>> from innerloop.models import SelfAttention
        >>> model = SelfAttention(depth=2)(d=1, p=1, key=jax.random.key(0))
        >>> readouts(model)(Prompt([[1.0]], [[2.0]], [[1.0]])).shape
        (3, 1, 1)
    """

    def read(prompt: Prompt) -> Float[Array, "k m p"]:
        streams = model.streams(prompt)
        return -jnp.stack([stream[-prompt.m :, model.read_slots] for stream in streams])

    return read


def iterates(learner: Learner, steps: int) -> Sequence:
    """What a learner predicts after each step.

    Args:
        learner: A learning algorithm.
        steps: How many steps it takes.

    Returns:
        From a prompt to predictions `(steps + 1, m, p)`, the first before any step.

    Example:
        >>> from innerloop.algorithms import gradient_descent
        >>> iterates(gradient_descent(0.125), 2)(Prompt([[2.0]], [[1.0]], [[2.0]])).ravel().tolist()
        [0.0, 0.5, 0.75]
    """
    return lambda prompt: jnp.asarray(run(learner, prompt, steps=steps))


def match_layers(
    layers: Sequence,
    steps: Sequence,
    prompts: Prompts,
    *,
    key: PRNGKeyArray,
    answers: Float[Array | np.ndarray, "b m p"] | None = None,
) -> LayerMatches:
    """Holds every layer of a model against every step of an algorithm.

    Args:
        layers: From a prompt to the predictions after each layer: `readouts` of a trained model, or
            the method `iterates` of a compiled one.
        steps: From a prompt to the predictions after each step: `iterates` of a learner.
        prompts: Prompts of equal sizes.
        key: Draws the resamples of the prompts, with replacement.
        answers: The targets at the queries, for the similarity of errors.

    Returns:
        Differences, similarities, and the nearest step of every layer.

    Example:
        >>> from innerloop.algorithms import gradient_descent
        >>> prompts = [Prompt([[1.0]], [[y]], [[1.0]]) for y in (1.0, 2.0)]
        >>> one, two = iterates(gradient_descent(0.75), 2), iterates(gradient_descent(0.5), 4)
        >>> match_layers(one, two, prompts, key=jax.random.key(0)).nearest.tolist()
        [0, 2, 4]
    """
    whole = batch(prompts)
    f, g = (np.asarray(mapped(each, whole), np.float64) for each in (layers, steps))
    apart = np.mean((f[:, :, None] - g[:, None]) ** 2, axis=(3, 4))
    sizes = [np.mean(one**2, axis=(2, 3)) for one in (f, g)]
    count = len(f)
    drawn = jax.random.randint(key, (RESAMPLES, count), 0, count)
    weights = np.stack([np.bincount(row, minlength=count) for row in np.asarray(drawn)]) / count
    differences = _differences(np.full((1, count), 1 / count), apart, *sizes)[0]
    nearest = np.argmin(differences, axis=1)
    again = np.argmin(_differences(weights, apart, *sizes), axis=2)
    similar = None if answers is None else _similarities(f, g, np.asarray(answers, np.float64))
    return LayerMatches(differences, similar, nearest, np.mean(again == nearest, axis=0))


def _differences(
    weights: Float[np.ndarray, "s b"],
    apart: Float[np.ndarray, "b l k"],
    first: Float[np.ndarray, "b l"],
    second: Float[np.ndarray, "b k"],
) -> Float[np.ndarray, "s l k"]:
    """`D` for several weightings of the prompts."""
    squares, f, g = (np.tensordot(weights, each, axes=1) for each in (apart, first, second))
    return np.sqrt(squares / np.maximum(np.maximum(f[:, :, None], g[:, None]), TINY))


def _similarities(
    f: Float[np.ndarray, "b l m p"], g: Float[np.ndarray, "b k m p"], y: Float[np.ndarray, "b m p"]
) -> Float[np.ndarray, "l k"]:
    """`S`: cosines of a prompt's errors, over queries and targets; their mean over prompts."""
    errors = [(one - y[:, None]).reshape(*one.shape[:2], -1) for one in (f, g)]
    units = [e / np.maximum(np.linalg.norm(e, axis=2, keepdims=True), TINY) for e in errors]
    return np.mean(np.einsum("blq,bkq->blk", *units), axis=0)
