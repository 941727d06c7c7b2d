"""Training: chunks of compiled steps, evaluations between them, and what is kept of both."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from innerloop.tasks import AbstractTask
from innerloop.training import history as log
from innerloop.training.checkpoints import Checkpoints
from innerloop.training.config import TrainingConfig
from innerloop.training.history import History, Record
from innerloop.training.program import (
    State,
    chunk_program,
    evaluation_program,
    objective,
    trainable,
)

METRICS = "metrics.jsonl"
Architecture = Callable[..., eqx.Module]


@dataclass(frozen=True)
class Trained:
    """The models of a run, and how they came about.

    Args:
        models: The model, its trained arrays stacked over seeds.
        seeds: The seeds, in the order of the stack.
        history: All evaluations.
    """

    models: Any
    seeds: tuple[int, ...]
    history: History

    def model(self, place: int = 0) -> Any:
        """The model of one seed."""
        weights, static = eqx.partition(self.models, trainable)
        return eqx.combine(jax.tree.map(lambda leaf: leaf[place], weights), static)

    @property
    def held_out(self) -> Float[np.ndarray, " seeds"]:
        """The last held-out loss of every seed."""
        return self.history.held_out[-1]

    @property
    def status(self) -> tuple[str, ...]:
        """By seed: finished, reached its target, stopped improving, or diverged."""
        return self.history.status


def train(
    architecture: Architecture | None,
    task: AbstractTask,
    config: TrainingConfig | None = None,
    *,
    seeds: Sequence[int] = (0,),
    init: Any = None,
    optimizer: optax.GradientTransformation | None = None,
    directory: Path | str | None = None,
    report: Callable[[Record], None] | None = None,
) -> Trained:
    """Trains a model to learn in context, from many seeds at once.

    Args:
        architecture: Called with `d=, p=, key=`, gives a new model; None with `init`.
        task: What it is trained on.
        config: The budget, the loss and the optimiser.
        seeds: Each decides its own initial weights and its own prompts.
        init: A model to start from in place of a new one, such as a compiled transformer: any
            pytree that answers prompts; its floating-point arrays are trained.
        optimizer: An optax chain in place of `config.optimizer`.
        directory: Where metrics and checkpoints are written. If there are some already, the run
            goes on from the last checkpoint, to bit-identical weights.
        report: Called with every record.

    Returns:
        The trained models and the history.

    Raises:
        ValueError: If there is no seed, or not exactly one of `architecture` and `init`.

    Example:
        >>> from innerloop import models, tasks, training
        >>> config = training.TrainingConfig(steps=4, batch=8, evaluate_every=2)
        >>> task = tasks.von_oswald(n=3, d=2)
        >>> trained = train(models.SelfAttention(), task, config, seeds=(0, 1))
        >>> trained.history.held_out.shape, trained.status
        ((3, 2), ('finished', 'finished'))
    """
    config = TrainingConfig() if config is None else config
    if len(seeds) == 0 or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be one or more different integers; got {tuple(seeds)}.")
    if (architecture is None) == (init is None):
        raise ValueError(
            "give either an architecture, which makes new models, or init=, a model to start from."
        )
    chain = config.optimizer.chain(config.steps) if optimizer is None else optimizer
    weights, static = _start(architecture, init, task, seeds)
    state = State(weights, jax.vmap(chain.init)(weights), jnp.ones(len(seeds), bool))
    run = _Run(static, task, config, chain, tuple(seeds), report)
    state, records = run.all_chunks(state, None if directory is None else Path(directory))
    models = eqx.combine(jax.tree.map(jnp.asarray, state.weights), static)
    return Trained(models, tuple(seeds), History(tuple(records)))


def _start(
    architecture: Architecture | None, init: Any, task: AbstractTask, seeds: Sequence[int]
) -> tuple[Any, Any]:
    """The weights at the start, stacked over seeds, and what is not trained of a model."""
    if architecture is None:
        weights, static = eqx.partition(init, trainable)
        stack = (len(seeds),)
        return jax.tree.map(
            lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), stack + leaf.shape).copy(), weights
        ), static
    keys = [jax.random.fold_in(jax.random.key(seed), 0) for seed in seeds]
    models = [architecture(d=task.d, p=task.p, key=key) for key in keys]
    parts = [eqx.partition(model, trainable) for model in models]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *[w for w, _ in parts]), parts[0][1]


@dataclass(frozen=True)
class _Run:
    """The settings of a run, and its chunks one after the other."""

    static: Any
    task: AbstractTask
    config: TrainingConfig
    chain: optax.GradientTransformation
    seeds: tuple[int, ...]
    report: Callable[[Record], None] | None

    def all_chunks(self, state: State, directory: Path | None) -> tuple[State, list[Record]]:
        """Trains to the end, from the last checkpoint where there is one."""
        if directory is None:
            return self._from(state, [], None, None)
        directory.mkdir(parents=True, exist_ok=True)
        metrics, checkpoints = directory / METRICS, Checkpoints(directory)
        try:
            records: list[Record] = []
            if checkpoints.latest is not None:
                state = checkpoints.restore(checkpoints.latest, state)
                records = list(log.read(metrics, until=checkpoints.latest))
            log.rewrite(metrics, tuple(records))
            return self._from(state, records, metrics, checkpoints)
        finally:
            checkpoints.close()

    def _from(
        self,
        state: State,
        records: list[Record],
        metrics: Path | None,
        checkpoints: Checkpoints | None,
    ) -> tuple[State, list[Record]]:
        config, began = self.config, time.process_time()
        seeds = self._placed(jnp.asarray(self.seeds))
        state = jax.tree.map(self._placed, state)
        evaluate = evaluation_program(self.static, self.task, config)
        rate = config.optimizer.rate(config.steps)
        programs: dict[tuple[AbstractTask, int], Callable] = {}

        def note(step, losses, taken):
            held_out = np.asarray(evaluate(state.weights))
            record = self._record(records, step, losses, taken, held_out, state, rate)
            record = Record(**record, seconds=time.process_time() - began)
            records.append(record)
            if metrics is not None:
                log.append(metrics, record)
            if self.report is not None:
                self.report(record)

        if not records:
            note(0, None, None)
        while records[-1].step < config.steps and log.RUNNING in records[-1].status:
            step = records[-1].step
            length = min(config.evaluate_every, config.steps - step)
            stage = (
                self.task if config.curriculum is None else config.curriculum.stage(step, self.task)
            )
            if (stage, length) not in programs:
                loss = objective(self.static, stage, config, self.task.d)
                programs = {(stage, length): chunk_program(loss, self.chain, length)}
            state, losses, taken = programs[stage, length](state, jnp.asarray(step), seeds)
            note(step + length, np.asarray(losses), np.asarray(taken))
            running = np.array([status == log.RUNNING for status in records[-1].status])
            state = state._replace(active=self._placed(jnp.asarray(running)))
            over = records[-1].step >= config.steps or not running.any()
            if checkpoints is not None and (
                over or len(records) % config.checkpoint_every == 1 % config.checkpoint_every
            ):
                checkpoints.save(records[-1].step, state)
        return state, records

    def _record(self, records, step, losses, taken, held_out, state, rate) -> dict[str, Any]:
        """The fields of a record, with the verdict on every seed."""
        before = records[-1] if records else None
        status, stopped = [], []
        for seed in range(len(self.seeds)):
            if before is not None and before.status[seed] != log.RUNNING:
                status.append(before.status[seed])
                stopped.append(before.stopped[seed])
                continue
            lost = None if taken is None else _first_lost(taken[seed])
            past = [record.held_out[seed] for record in records]
            verdict = log.DIVERGED if lost is not None else self._verdict(past, held_out[seed])
            if verdict == log.RUNNING and step >= self.config.steps:
                verdict = log.FINISHED
            status.append(verdict)
            early = verdict not in (log.RUNNING, log.FINISHED)
            first = step if lost is None else before.step + lost
            stopped.append(first if early else None)
        training = (None,) * len(self.seeds)
        if losses is not None:
            counted = np.where(taken, losses, 0.0).sum(1) / np.maximum(taken.sum(1), 1)
            training = log.finite(np.where(taken.any(1), counted, np.nan))
        return {
            "step": step,
            "training": training,
            "held_out": log.finite(held_out),
            "stopped": tuple(stopped),
            "status": tuple(status),
            "learning_rate": float(rate(step)),
        }

    def _verdict(self, past: list[float | None], now: float) -> str:
        """Whether a seed goes on, from its held-out losses."""
        config = self.config
        first = past[0] if past else now
        if not np.isfinite(now) or first is None or now > config.divergence * first:
            return log.DIVERGED
        if config.target is not None and now <= config.target:
            return log.TARGET
        if config.patience is not None and len(past) > config.patience:
            recent = [v for v in past[-config.patience :] if v is not None]
            earlier = [v for v in past[: -config.patience] if v is not None]
            if min(*recent, now) >= min(earlier):
                return log.STALLED
        return log.RUNNING

    def _placed(self, array: Array) -> Array:
        """Seeds divided over the devices, where their number allows."""
        devices = jax.devices()
        if len(devices) == 1 or len(self.seeds) % len(devices):
            return array
        mesh = Mesh(np.array(devices), ("seeds",))
        return jax.device_put(array, NamedSharding(mesh, PartitionSpec("seeds")))


def _first_lost(taken: np.ndarray) -> int | None:
    """The first step of a chunk that was not taken, or None."""
    return None if taken.all() else int(np.argmin(taken))
