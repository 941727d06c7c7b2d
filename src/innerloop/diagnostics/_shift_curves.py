r"""Losses on tasks that are shifted away from those of training: out-of-distribution curves.

    L_f(a) = (1/2) E_a |f(x_q) - y_q|^2            prompts of a task that is scaled by `a`

A model that runs an algorithm has the algorithm's loss at every `a`, not only where it was trained,
and the same predictions. The same keys draw the prompts of every `a`, and both predictors answer
the same prompts, so that a ratio of losses is known better than either.
Axes: `a` shifts, `b` prompts, `m` queries, `p` targets.
Reference: von Oswald et al. (2023), arXiv:2212.07677, Section 3, Figures 2 and 6.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.diagnostics._compare import mean_target, relative, shuffled
from innerloop.diagnostics._predictors import Predictor, predictions
from innerloop.precision import in_precision
from innerloop.tasks import AbstractTask, Sample

TINY = 1e-30


class Curve(NamedTuple):
    """A predictor's losses by shift, beside those of the one that it is held against.

    Args:
        alphas: The shifts.
        loss: Half the squared error, averaged over queries and summed over targets.
        error: The standard error of `loss`.
        ratio: `loss` over that of the second predictor, on the same prompts.
        ratio_error: The standard error of `ratio`, by the delta method.
        difference: Relative difference of predictions from those of the second.
    """

    alphas: Float[np.ndarray, " a"]
    loss: Float[np.ndarray, " a"]
    error: Float[np.ndarray, " a"]
    ratio: Float[np.ndarray, " a"]
    ratio_error: Float[np.ndarray, " a"]
    difference: Float[np.ndarray, " a"]


def shift_curves(
    first: Predictor,
    second: Predictor,
    shifted: Callable[[float], AbstractTask],
    alphas: Sequence[float],
    *,
    key: PRNGKeyArray,
    prompts: int = 1000,
    controls: Mapping[str, Predictor] | None = None,
) -> dict[str, Curve]:
    """Losses of two predictors, and of what should not match, on shifted tasks.

    Args:
        first: A predictor, a model say.
        second: The one it is held against, an algorithm say.
        shifted: From `alpha` to the task, such as `lambda alpha: scale_inputs(task, alpha)`.
        alphas: The shifts.
        key: Draws prompts, and the order of the labels in a control.
        prompts: How many of them; two or more.
        controls: Further predictors to hold against the second, such as the untrained model.

    Returns:
        Curves by name: `first`, `second`; `mean target`, a predictor that ignores the covariates;
        `shuffled labels`, the first on prompts whose labels belong to other examples; and those
        given.

    Raises:
        ValueError: If there is no shift, or fewer than two prompts.

    Example:
        >>> from innerloop.algorithms import gradient_descent
        >>> from innerloop.diagnostics import after
        >>> from innerloop.tasks import ScaledTargets, von_oswald
        >>> short, long = (after(gradient_descent(6.06), steps) for steps in (1, 2))
        >>> def louder(alpha):
        ...     return ScaledTargets(task=von_oswald(), alpha=alpha)
        >>> key = jax.random.key(0)
        >>> found = shift_curves(short, long, louder, [1.0, 2.0], key=key, prompts=100)
        >>> loss = found["first"].loss
        >>> round(float(loss[1] / loss[0]), 6), bool(found["first"].ratio[0] > 1.1)
        (4.0, True)
    """
    if len(alphas) == 0 or prompts < 2:
        raise ValueError(
            "curves need one or more shifts, and two or more prompts for their standard errors; "
            f"got {len(alphas)} and {prompts}."
        )
    draws, order = jax.random.split(key)
    samples = [_drawn(shifted(alpha), draws, prompts) for alpha in alphas]
    whole, truth = jax.tree.map(lambda *leaves: np.concatenate(leaves), *samples)
    answers = predictions(second, whole)
    others = {"mean target": mean_target, **(controls or {})}
    pair = (whole, shuffled(whole, key=order))
    together = jax.tree.map(lambda *leaves: np.concatenate(leaves), *pair)
    own, mixed = np.split(np.asarray(predictions(first, together)), 2)
    said = {
        "first": own,
        "second": answers,
        "shuffled labels": mixed,
        **{name: predictions(other, whole) for name, other in others.items()},
    }
    shifts = np.asarray(alphas, np.float64)
    return {name: _curve(shifts, each, answers, truth) for name, each in said.items()}


def _drawn(task: AbstractTask, key: PRNGKeyArray, prompts: int) -> Sample:
    """Prompts of a task, with their answers, in float64."""

    def draw():
        sample = jax.vmap(lambda one: task.sample(key=one))(jax.random.split(key, prompts))
        return jax.tree.map(np.asarray, sample)

    return in_precision(draw, "float64")


def _curve(
    alphas: Float[np.ndarray, " a"],
    said: Float[Array | np.ndarray, "prompts m p"],
    answers: Float[Array | np.ndarray, "prompts m p"],
    truth: Float[np.ndarray, "prompts m p"],
) -> Curve:
    """A predictor against the second one, from answers to the prompts of all shifts in turn."""
    parts = (np.split(np.asarray(a, np.float64), len(alphas)) for a in (said, answers, truth))
    rows = [
        (*_against(_half_errors(f, y), _half_errors(g, y)), relative(f, g).value)
        for f, g, y in zip(*parts, strict=True)
    ]
    return Curve(alphas, *np.array(rows).T)


def _half_errors(
    said: Float[np.ndarray, "b m p"], truth: Float[np.ndarray, "b m p"]
) -> Float[np.ndarray, " b"]:
    return 0.5 * np.mean(np.sum((said - truth) ** 2, axis=2), axis=1)


def _against(
    losses: Float[np.ndarray, " b"], base: Float[np.ndarray, " b"]
) -> tuple[float, float, float, float]:
    """The mean loss and its error, the ratio to another and its error."""
    root, size = len(losses) ** 0.5, max(float(np.mean(base)), TINY)
    ratio = float(np.mean(losses)) / size
    spread = float(np.std(losses - ratio * base, ddof=1)) / size
    return float(np.mean(losses)), float(np.std(losses, ddof=1)) / root, ratio, spread / root
