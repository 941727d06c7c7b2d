"""The compiled programs of training: a chunk of steps, and an evaluation, for all seeds at once.

A chunk is one `lax.scan`; data are drawn inside it, so nothing crosses to the host between steps.
Every draw is decided by the seed and the number of the step, so a run that was interrupted after a
chunk continues as if it had not been. A seed whose loss or gradient is not finite keeps the weights
it had.
Axes: `seeds`, `steps` of a chunk.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from innerloop.models import Decoder
from innerloop.prompts import Prompt
from innerloop.tasks import AbstractTask, Sample
from innerloop.training.config import TrainingConfig
from innerloop.training.contexts import Contexts, moments_loss, second_moments
from innerloop.training.losses import (
    batched_prefix_loss,
    expected_loss,
    prefix_loss,
    query_loss,
)
from innerloop.training.population import population_loss

EVALUATED_AT_ONCE = 2048


class State(NamedTuple):
    """What a run carries from chunk to chunk, stacked over seeds.

    Args:
        weights: The trainable arrays of the models.
        optimizer: The optimiser's state.
        active: Which seeds go on.
    """

    weights: PyTree
    optimizer: PyTree
    active: Bool[Array, " seeds"]


def started(
    weights: PyTree, optimizer: optax.GradientTransformation, options: dict[str, bool]
) -> State:
    """What a run begins with: weights stacked over seeds, all of them active."""
    begun = jax.jit(jax.vmap(optimizer.init), compiler_options=options)(weights)
    return State(weights, begun, jnp.ones(len(jax.tree.leaves(weights)[0]), bool))


def trainable(leaf: object) -> bool:
    """Whether a leaf of a model is trained: floating-point arrays are, numpy's too."""
    if not isinstance(leaf, jax.Array | np.ndarray):
        return False
    return bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def objective(
    static: PyTree, task: AbstractTask, config: TrainingConfig, d: int
) -> Callable[[PyTree, PRNGKeyArray], Float[Array, ""]]:
    """The loss of a step, as a function of weights and a key."""

    def loss(weights: PyTree, key: PRNGKeyArray) -> Float[Array, ""]:
        model = eqx.combine(weights, static)
        if config.loss == "population":
            return population_loss(model, task)
        if config.loss == "moments":
            contexts = second_moments(task, config.batch, key=key, stretches=config.stretches)
            return moments_loss(model, contexts, task)
        keys = jax.random.split(key, config.batch)
        samples = jax.vmap(lambda one: padded(task.sample(key=one), d))(keys)
        return batch_loss(config, model, samples, task)

    return loss


def batch_loss(
    config: TrainingConfig, model: Any, samples: Sample, task: AbstractTask
) -> Float[Array, ""]:
    """The mean of `sample_loss` over samples with a leading axis."""
    if config.loss == "prefixes" and isinstance(model, Decoder):
        return batched_prefix_loss(model, samples)
    return jax.vmap(lambda sample: sample_loss(config, model, sample, task))(samples).mean()


def sample_loss(
    config: TrainingConfig, model: Any, sample: Sample, task: AbstractTask
) -> Float[Array, ""]:
    """The loss that a configuration names, on one sample."""
    match config.loss:
        case "prefixes":
            return prefix_loss(model, sample)
        case "expected":
            return expected_loss(model, sample, task)
        case _:
            return query_loss(model, sample)


def padded(sample: Sample, d: int) -> Sample:
    """A sample with zeros for the covariates beyond its own, `d` in all."""
    prompt, missing = sample.prompt, d - sample.prompt.d
    if missing == 0:
        return sample
    x, xq = (jnp.pad(a, ((0, 0), (0, missing))) for a in (prompt.x, prompt.xq))
    return Sample(Prompt(x, prompt.y, xq), sample.yq)


def chunk_program(
    loss: Callable[[PyTree, PRNGKeyArray], Float[Array, ""]],
    optimizer: optax.GradientTransformation,
    length: int,
    options: dict[str, bool],
) -> Callable[[State, Int[Array, ""], Int[Array, " seeds"]], tuple[State, Array, Array]]:
    """A chunk of `length` steps: the state after it, the losses, and which steps were taken.

    Args:
        loss: The loss of a step, of weights and a key.
        optimizer: What makes a step of a gradient.
        length: How many steps.
        options: For XLA.
    """

    def one_seed(weights, state, active, seed, first):
        key = jax.random.fold_in(jax.random.key(seed), 1)

        def step(carry, number):
            weights, state, active = carry
            value, gradient = jax.value_and_grad(loss)(weights, jax.random.fold_in(key, number))
            updates, new_state = optimizer.update(gradient, state, weights)
            taken = active & jnp.isfinite(value) & jnp.isfinite(optax.tree.norm(gradient))
            new = (optax.apply_updates(weights, updates), new_state)
            kept = jax.tree.map(lambda a, b: jnp.where(taken, a, b), new, (weights, state))
            return (*kept, taken), (value, taken)

        return jax.lax.scan(step, (weights, state, active), first + jnp.arange(length))

    all_seeds = jax.vmap(one_seed, in_axes=(0, 0, 0, 0, None))

    def alone(*inputs):
        """One seed without an axis for it: products of matrices stay products of matrices."""
        weights, state, active, seed = jax.tree.map(lambda leaf: leaf[0], inputs[:-1])
        found = one_seed(weights, state, active, seed, inputs[-1])
        return jax.tree.map(lambda leaf: leaf[None], found)

    def chunk(state: State, first: Int[Array, ""], seeds: Int[Array, " seeds"]):
        run = alone if len(seeds) == 1 else all_seeds
        carry, (losses, taken) = run(state.weights, state.optimizer, state.active, seeds, first)
        return State(*carry), losses, taken

    return jax.jit(chunk, donate_argnums=0, compiler_options=options)


def evaluation_program(
    static: PyTree, task: AbstractTask, config: TrainingConfig, options: dict[str, bool]
) -> Callable[[PyTree], Float[Array, " seeds"]]:
    """The held-out loss of every seed; all see the same prompts. XLA gets the options."""

    def evaluate(weights: PyTree, samples: Sample | Contexts | None) -> Float[Array, ""]:
        model = eqx.combine(weights, static)
        if samples is None:
            return population_loss(model, task)
        if isinstance(samples, Contexts):
            return moments_loss(model, samples, task)
        at_once = min(EVALUATED_AT_ONCE, config.evaluation_prompts)
        return jax.lax.map(
            lambda sample: sample_loss(config, model, sample, task), samples, batch_size=at_once
        ).mean()

    program = jax.jit(jax.vmap(evaluate, in_axes=(0, None)), compiler_options=options)
    match config.loss:
        case "population":
            samples = None
        case "moments":
            key, count = jax.random.key(config.evaluation_seed), config.evaluation_prompts
            samples = second_moments(task, count, key=key, stretches=config.stretches)
        case _:
            samples = held_out(task, config, options)
    return lambda weights: program(weights, samples)


def held_out(
    task: AbstractTask, config: TrainingConfig, options: dict[str, bool] | None = None
) -> Sample:
    """The prompts of evaluation, stacked. XLA gets the options."""
    keys = jax.random.split(jax.random.key(config.evaluation_seed), config.evaluation_prompts)
    sample = jax.jit(jax.vmap(lambda key: task.sample(key=key)), compiler_options=options)
    return sample(keys)
