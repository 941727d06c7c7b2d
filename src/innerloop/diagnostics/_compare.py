r"""How alike two predictors are on the same prompts.

    prediction difference  mean |f - g|                 relative   sqrt(E |f - g|^2 / E |g|^2)
    cosine                 mean <f', g'> / (|f'| |g'|)             f' = d f(x_q) / d x_q
    sensitivity difference mean |f' - g'|_2

The cosine forgets scale: any two predictors that follow the data have a large one. So a comparison
comes with its negative controls.
Axes: `b` prompts, `m` queries, `d` covariates, `p` targets.
References: von Oswald et al. (2023), arXiv:2212.07677, Section 3 and Appendix A.1; Akyurek et al.
(2023), arXiv:2211.15661, Section 4.1, on implied linear weights.
"""

from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.diagnostics._predictors import (
    Predictor,
    Prompts,
    batch,
    predictions,
    sensitivities,
)
from innerloop.prompts import Prompt

TINY = 1e-30


class Mean(NamedTuple):
    """A mean over prompts, with its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.4g} +- {self.error:.1g}"


class Comparison(NamedTuple):
    """Two predictors on the same prompts.

    Args:
        prediction_difference: Mean absolute difference of predictions.
        relative_difference: Root of the mean squared difference over that of the second's
            predictions.
        cosine: Mean cosine of the angle between sensitivities.
        sensitivity_difference: Mean Euclidean distance of sensitivities.
    """

    prediction_difference: Mean
    relative_difference: Mean
    cosine: Mean
    sensitivity_difference: Mean

    def __str__(self) -> str:
        return ", ".join(
            f"{name.replace('_', ' ')} {value}" for name, value in self._asdict().items()
        )


def compare(first: Predictor, second: Predictor, prompts: Prompts) -> Comparison:
    """Compares two predictors.

    Args:
        first: A predictor, a model say.
        second: The one it is held against, an algorithm say.
        prompts: Prompts of equal sizes; each is one sample of the means.

    Returns:
        The four numbers, with standard errors over prompts.

    Example:
        >>> from innerloop.algorithms import gradient_descent
        >>> from innerloop.diagnostics import after
        >>> prompts = [Prompt([[1.0]], [[y]], [[1.0]]) for y in (1.0, 2.0)]
        >>> short, long = (after(gradient_descent(eta), 1) for eta in (0.5, 1.0))
        >>> found = compare(short, long, prompts)
        >>> found.cosine.value, found.relative_difference.value, found.prediction_difference.value
        (1.0, 0.5, 0.75)
    """
    return _compared(_answers(first, prompts), _answers(second, prompts))


def compare_with_controls(
    first: Predictor,
    second: Predictor,
    prompts: Prompts,
    *,
    key: PRNGKeyArray,
    controls: Mapping[str, Predictor] | None = None,
) -> dict[str, Comparison]:
    """Compares two predictors, and what should not match beside them.

    Args:
        first: A predictor, a model say.
        second: The one it is held against.
        prompts: Prompts of equal sizes.
        key: Shuffles the labels of the second control.
        controls: Further predictors to hold against the second, such as the untrained model.

    Returns:
        By name: `match`, the pair itself; `mean target`, a predictor that ignores the covariates;
        `shuffled labels`, the first on prompts whose labels belong to other examples, against the
        second on the prompts as they are; and those given.
    """
    whole = batch(prompts)
    answers = _answers(second, whole)
    others = {"mean target": mean_target, **(controls or {})}
    return {
        "match": _compared(_answers(first, whole), answers),
        "shuffled labels": _compared(_answers(first, shuffled(whole, key=key)), answers),
        **{name: _compared(_answers(other, whole), answers) for name, other in others.items()},
    }


def shuffled(whole: Prompt, *, key: PRNGKeyArray) -> Prompt:
    """A batch of prompts in which every label belongs to another example of its prompt.

    Which one is drawn, so that some may stay where they were.
    """
    b, n = whole.x.shape[:2]
    orders = jax.vmap(lambda k: jax.random.permutation(k, n))(jax.random.split(key, b))
    mixed = np.take_along_axis(np.asarray(whole.y), np.asarray(orders)[:, :, None], axis=1)
    return eqx.tree_at(lambda prompt: prompt.y, whole, mixed)


def mean_target(prompt: Prompt) -> Float[Array, "m p"]:
    """The mean of the context's targets at every query: learning without looking at covariates."""
    mean = jnp.mean(jnp.asarray(prompt.y), axis=0)
    return jnp.broadcast_to(mean, (prompt.m, prompt.p))


class _Answers(NamedTuple):
    """Predictions and sensitivities on the same prompts, in float64."""

    predictions: Float[np.ndarray, "b m p"]
    sensitivities: Float[np.ndarray, "b m p d"]


def _answers(predictor: Predictor, prompts: Prompts) -> _Answers:
    return _Answers(
        np.asarray(predictions(predictor, prompts), np.float64),
        np.asarray(sensitivities(predictor, prompts), np.float64),
    )


def _compared(first: _Answers, second: _Answers) -> Comparison:
    (f, df), (g, dg) = first, second
    return Comparison(
        prediction_difference=_mean(np.abs(f - g).mean(axis=(1, 2))),
        relative_difference=relative(f, g),
        cosine=_mean(_cosines(df, dg).mean(axis=(1, 2))),
        sensitivity_difference=_mean(np.linalg.norm(df - dg, axis=-1).mean(axis=(1, 2))),
    )


def _cosines(
    df: Float[np.ndarray, "b m p d"], dg: Float[np.ndarray, "b m p d"]
) -> Float[np.ndarray, "b m p"]:
    """Cosines of angles; 0 where either vanishes."""
    lengths = np.linalg.norm(df, axis=-1) * np.linalg.norm(dg, axis=-1)
    return np.sum(df * dg, axis=-1) / np.maximum(lengths, TINY)


def _mean(values: Float[np.ndarray, " b"]) -> Mean:
    spread = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return Mean(float(np.mean(values)), float(spread))


def relative(f: Float[np.ndarray, "b m p"], g: Float[np.ndarray, "b m p"]) -> Mean:
    """`sqrt(E |f - g|^2 / E |g|^2)`, its error by the delta method."""
    top, bottom = (np.mean(a**2, axis=(1, 2)) for a in (f - g, g))
    size = max(float(np.mean(bottom)), TINY)
    ratio = float(np.mean(top)) / size
    error = _mean((top - ratio * bottom) / size).error
    return Mean(ratio**0.5, error / max(2 * ratio**0.5, TINY))
