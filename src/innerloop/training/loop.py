"""Training: chunks of compiled steps, evaluations between them, and what is kept of both."""

import time
from collections.abc import Callable, Iterator, Sequence
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
from innerloop.training.codegen import compiler_options
from innerloop.training.config import TrainingConfig
from innerloop.training.history import History, Record
from innerloop.training.identity import claim, contents
from innerloop.training.program import (
    State,
    chunk_program,
    evaluation_program,
    objective,
    started,
    trainable,
)
from innerloop.training.verdicts import Chunk, first_verdict, verdicts

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
    observe: Callable[[int, Any], None] | None = None,
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
        directory: Where metrics and checkpoints are written. If there are some of this run
            already, it goes on from the last checkpoint, to bit-identical weights.
        report: Called with every record.
        observe: Called at every evaluation with the step and the models there, stacked over seeds:
            copies as numpy arrays, which may be kept.

    Returns:
        The trained models and the history.

    Raises:
        ValueError: If there is no seed, not exactly one of `architecture` and `init`, or another
            run in the directory.

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
    options = compiler_options(weights)
    state = started(weights, chain, options)
    run = _Run(static, task, config, chain, tuple(seeds), options, report, observe)
    if directory is None:
        state, records = run.in_memory(state)
    else:
        Path(directory).mkdir(parents=True, exist_ok=True)
        claim(
            Path(directory),
            weights,
            architecture=architecture,
            init=None if init is None else f"{type(init).__qualname__} {contents(weights)}",
            task=task,
            config=config,
            optimizer="that of config" if optimizer is None else "given",
            seeds=tuple(int(seed) for seed in seeds),
        )
        state, records = run.on_disk(state, Path(directory))
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
    options: dict[str, bool]
    report: Callable[[Record], None] | None
    observe: Callable[[int, Any], None] | None

    def in_memory(self, state: State) -> tuple[State, list[Record]]:
        """Trains to the end, and keeps nothing on disk."""
        records: list[Record] = []
        for after in self.chunks(state, records):
            state = after
            self.tell(records[-1], state)
        return state, records

    def on_disk(self, state: State, directory: Path) -> tuple[State, list[Record]]:
        """Trains to the end, from the last checkpoint where there is one."""
        metrics, checkpoints = directory / METRICS, Checkpoints(directory)
        records: list[Record] = []
        try:
            if checkpoints.latest is not None:
                state = checkpoints.restore(checkpoints.latest, state)
                records = list(log.read(metrics, until=checkpoints.latest))
            log.rewrite(metrics, tuple(records))
            for after in self.chunks(state, records):
                state = after
                log.append(metrics, records[-1])
                self.tell(records[-1], state)
                evaluations = len(records) - 1
                over = log.RUNNING not in records[-1].status
                if over or (evaluations and evaluations % self.config.checkpoint_every == 0):
                    checkpoints.save(records[-1].step, state)
        finally:
            checkpoints.close()
        return state, records

    def chunks(self, state: State, records: list[Record]) -> Iterator[State]:
        """Trains to the end, and gives the state after every evaluation, which `records` gets."""
        config, began = self.config, time.process_time()
        seeds = self._placed(jnp.asarray(self.seeds))
        state = jax.tree.map(self._placed, state)
        evaluate = evaluation_program(self.static, self.task, config, self.options)
        rate = config.optimizer.rate(config.steps)
        stage, length, program = None, 0, None

        def noted(step: int, chunk: Chunk | None) -> State:
            held_out = np.asarray(evaluate(state.weights))
            if chunk is None:
                found = [first_verdict(float(loss), config) for loss in held_out]
            else:
                found = verdicts(records, chunk, held_out, config)
            missing = np.full(len(seeds), np.nan)
            record = Record(
                step=step,
                training=log.finite(missing if chunk is None else chunk.means),
                held_out=log.finite(held_out),
                stopped=tuple(verdict.stopped for verdict in found),
                status=tuple(verdict.status for verdict in found),
                learning_rate=float(np.asarray(rate(step))),
                seconds=time.process_time() - began,
            )
            records.append(record)
            active = np.array([status == log.RUNNING for status in record.status])
            return state._replace(active=self._placed(jnp.asarray(active)))

        if not records:
            state = noted(0, None)
            yield state
        while log.RUNNING in records[-1].status:
            step = records[-1].step
            wanted = self._stage(step), min(config.evaluate_every, config.steps - step)
            if program is None or wanted != (stage, length):
                stage, length = wanted
                loss = objective(self.static, stage, config, self.task.d)
                program = chunk_program(loss, self.chain, length, self.options)
            state, losses, taken = program(state, jnp.asarray(step), seeds)
            state = noted(step + length, Chunk(np.asarray(losses), np.asarray(taken)))
            yield state

    def tell(self, record: Record, state: State) -> None:
        """Hands a record, and the models, to who wants to know."""
        if self.report is not None:
            self.report(record)
        if self.observe is not None:
            copies = jax.tree.map(np.array, state.weights)  # the next chunk reuses the memory
            self.observe(record.step, eqx.combine(copies, self.static))

    def _stage(self, step: int) -> AbstractTask:
        """The task at a step."""
        curriculum = self.config.curriculum
        return self.task if curriculum is None else curriculum.stage(step, self.task)

    def _placed(self, array: Array) -> Array:
        """Seeds divided over the devices, where their number allows."""
        devices = jax.devices()
        if len(devices) == 1 or len(self.seeds) % len(devices):
            return array
        mesh = Mesh(np.array(devices), ("seeds",))
        return jax.device_put(array, NamedSharding(mesh, PartitionSpec("seeds")))
