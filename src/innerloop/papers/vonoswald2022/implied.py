"""Trained linear attention by its implied weights: every query is answered with `<w_hat, x_q>`.

Queries `e_1, ..., e_d` read `w_hat` off. Losses, cosines and distances follow from it, for all
seeds on the same tasks. Models answer in the precision they were trained in; the rest is float64.
What clips or normalises is not linear in the query: there `w_hat` is the derivative by it.
Axes: `s` seeds, `b` tasks, `d` covariates, `r` residual width.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float

from innerloop.diagnostics import Predictor, after, predictions
from innerloop.learners import Learner
from innerloop.models import InContextTransformer, products
from innerloop.precision import in_precision
from innerloop.prompts import Prompt
from innerloop.tasks import LinearRegression
from innerloop.training import Trained, TrainingConfig
from innerloop.training.program import held_out, trainable


class Drawn(NamedTuple):
    """Tasks with their prompts.

    Args:
        prompts: A batch with one query each.
        answers: The targets at the queries.
        teachers: The weights that wrote all targets.
    """

    prompts: Prompt
    answers: Float[np.ndarray, " b"]
    teachers: Float[np.ndarray, "b d"]


def drawn(task: LinearRegression, count: int, *, seed: int) -> Drawn:
    """Fresh tasks, the same for the same seed."""

    def one(key):
        teacher, prompt = jax.random.split(key)
        weights = task.teacher(key=teacher)
        return task.taught(weights, key=prompt), weights

    keys = jax.random.split(jax.random.key(seed), count)
    sample, weights = jax.jit(jax.vmap(one))(keys)
    prompts = jax.tree.map(np.asarray, sample.prompt)
    answers, teachers = (np.asarray(part, np.float64) for part in (sample.yq, weights))
    return Drawn(prompts, answers[:, 0, 0], teachers[:, :, 0])


def scaled(tasks: Drawn, *, inputs: float = 1.0, targets: float = 1.0) -> Drawn:
    """The same tasks with covariates, or teachers, `alpha` times as large."""
    x, y, xq = tasks.prompts.x, tasks.prompts.y, tasks.prompts.xq
    factor = inputs * targets
    prompts = _batch(inputs * x, factor * y, inputs * xq)
    return Drawn(prompts, factor * tasks.answers, targets * tasks.teachers)


def _batch(x: ArrayLike, y: ArrayLike, xq: ArrayLike) -> Prompt:
    """Stacked arrays as one batch of prompts."""
    return jax.tree.map(np.asarray, jax.vmap(Prompt)(x, y, xq))


def _everywhere(prompts: Prompt) -> Prompt:
    """The prompts with the unit vectors as queries."""
    size, d = len(prompts.x), prompts.x.shape[-1]
    units = np.broadcast_to(np.eye(d, dtype=prompts.x.dtype), (size, d, d))
    return _batch(prompts.x, prompts.y, units)


def implied(models: InContextTransformer, tasks: Drawn) -> Float[np.ndarray, "s b d"]:
    """The implied weights of models stacked over seeds."""
    return _by_seed(models, _all_answers, _everywhere(tasks.prompts))


def predicted(models: Predictor, tasks: Drawn) -> Float[np.ndarray, "s b"]:
    """The predictions at the queries, of models stacked over seeds, linear in the query or not."""
    return _by_seed(models, _answer, tasks.prompts)


def slopes(models: Predictor, tasks: Drawn) -> Float[np.ndarray, "s b d"]:
    """The derivatives of the predictions by the query, there: of linear models implied weights."""
    return _by_seed(models, _slope, tasks.prompts)


def _all_answers(model: InContextTransformer, prompt: Prompt) -> Float[jax.Array, " m"]:
    return model(prompt)[:, 0]


def _answer(model: Predictor, prompt: Prompt) -> Float[jax.Array, ""]:
    return model(prompt)[0, 0]


def _slope(model: Predictor, prompt: Prompt) -> Float[jax.Array, " d"]:
    def answer(query: Float[jax.Array, "1 d"]) -> Float[jax.Array, ""]:
        return model(Prompt(prompt.x, prompt.y, query))[0, 0]

    return jax.grad(answer)(jnp.asarray(prompt.xq))[0]


def _by_seed(
    models: Any, read: Callable[[Any, Prompt], jax.Array], prompts: Prompt
) -> Float[np.ndarray, "s b *read"]:
    """What is read from each of the stacked models, prompt by prompt."""
    weights, static = eqx.partition(models, trainable)
    seeds = len(jax.tree.leaves(weights)[0])
    one = [jax.tree.map(lambda leaf, s=s: leaf[s], weights) for s in range(seeds)]
    found = [_read(read, eqx.combine(each, static), prompts) for each in one]
    return np.stack([np.asarray(each, np.float64) for each in found])


@eqx.filter_jit
def _read(
    read: Callable[[Any, Prompt], jax.Array], model: Any, prompts: Prompt
) -> Float[jax.Array, "b ..."]:
    return jax.vmap(lambda prompt: read(model, prompt))(prompts)


def implied_by(learner: Learner, steps: int, tasks: Drawn) -> Float[np.ndarray, "b d"]:
    """The implied weights of an algorithm."""
    prompts = _everywhere(tasks.prompts)
    found = in_precision(_runner(learner, steps), prompts.dtype, prompts)
    return np.asarray(found, np.float64)[..., 0]


@cache
def _runner(learner: Learner, steps: int) -> Callable[[Prompt], Any]:
    return jax.jit(jax.vmap(after(learner, steps)))


def half_errors(weights: Float[np.ndarray, "*s b d"], tasks: Drawn) -> Float[np.ndarray, "*s b"]:
    """Half the squared error at the query, task by task."""
    return errors(answered(weights, tasks), tasks)


def errors(answers: Float[np.ndarray, "*s b"], tasks: Drawn) -> Float[np.ndarray, "*s b"]:
    """Half the squared errors of predictions."""
    return 0.5 * (answers - tasks.answers) ** 2


def answered(weights: Float[np.ndarray, "*s b d"], tasks: Drawn) -> Float[np.ndarray, "*s b"]:
    """The predictions at the queries."""
    return np.einsum("...bd,bd->...b", weights, tasks.prompts.xq[:, 0])


def held_out_loss(
    learner: Learner, steps: int, task: LinearRegression, config: TrainingConfig
) -> float:
    """The loss of an algorithm on the prompts that a training run is evaluated on."""
    samples = held_out(task, config)
    answers = np.asarray(predictions(after(learner, steps), samples.prompt))
    return float(0.5 * np.mean((answers - np.asarray(samples.yq)) ** 2))


def cosines(
    first: Float[np.ndarray, "*s b d"], second: Float[np.ndarray, "b d"]
) -> Float[np.ndarray, "*s"]:
    """The mean cosine of the angle between implied weights; 0 where either vanishes."""
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return np.mean(np.einsum("...bd,bd->...b", first, second) / np.maximum(lengths, 1e-30), axis=-1)


def distances(
    first: Float[np.ndarray, "*s b d"], second: Float[np.ndarray, "b d"]
) -> Float[np.ndarray, "*s"]:
    """The mean Euclidean distance between implied weights."""
    return np.mean(np.linalg.norm(first - second, axis=-1), axis=-1)


class Products(NamedTuple):
    """The two matrices of a head, in the paper's letters.

    Args:
        kq: `W_KQ = W_K^T W_Q`.
        pv: `P W_V`.
    """

    kq: Float[np.ndarray, "*s r r"]
    pv: Float[np.ndarray, "*s r r"]


def read_products(trained: Trained) -> Products:
    """The matrices of one layer, or of shared layers, with one head; stacked over seeds."""
    found = products(trained.models.stages[0].blocks.attention[0])
    kq, pv = (np.swapaxes(np.asarray(part, np.float64)[:, 0, 0], -1, -2) for part in found)
    return Products(kq, pv)


def rescaled(found: Products, d: int) -> Products:
    """The same model with `W_KQ` of mean diagonal 1 over the covariates (A.3)."""
    beta = np.diagonal(found.kq, axis1=-2, axis2=-1)[..., :d].mean(-1)[..., None, None]
    return Products(found.kq / beta, found.pv * beta)


def constructed(d: int, rate: float, curvature: float = 0.0) -> Products:
    """The matrices of GD++ for sums over the context; of gradient descent without curvature."""
    kq, pv = np.diag([1.0] * d + [0.0]), np.diag([-curvature] * d + [-rate])
    return Products(kq, pv)


def between(first: Products, second: Products) -> Products:
    """The mean of two models' matrices."""
    return Products((first.kq + second.kq) / 2, (first.pv + second.pv) / 2)


def with_products(models: InContextTransformer, found: Products) -> InContextTransformer:
    """Models with these matrices, stacked over seeds, in place of their own; `W_K = W_V = I`."""
    kq, pv = (jnp.asarray(part)[:, None, None] for part in found)
    identity = jnp.broadcast_to(jnp.eye(kq.shape[-1], dtype=kq.dtype), kq.shape)
    attention = models.stages[0].blocks.attention[0]
    attention = eqx.tree_at(
        lambda a: (a.W_Q, a.W_K, a.W_V, a.W_O), attention, (kq, identity, identity, pv)
    )
    return eqx.tree_at(lambda m: m.stages[0].blocks.attention, models, (attention,))


def over_seeds(what: str, values: Float[np.ndarray, " s"]) -> dict[str, str]:
    """Mean and standard deviation over seeds, as a setting to print."""
    return {what: f"{np.mean(values):.6g} +- {np.std(values, ddof=1):.2g}"}
