"""Training runs of which the models at some steps on the way are kept, and what they used."""

from typing import Any, NamedTuple

from innerloop.models import SelfAttention
from innerloop.papers.claims import Scale
from innerloop.tasks import LinearRegression
from innerloop.training import Trained, TrainingConfig, train

QUERIES = 10
"""Of a prompt below paper scale."""


class Watched(NamedTuple):
    """A finished run, and the models, stacked over seeds, at the steps asked for."""

    trained: Trained
    early: dict[int, Any]


def watched(
    architecture: SelfAttention,
    task: LinearRegression,
    config: TrainingConfig,
    *,
    seeds: tuple[int, ...],
    early: tuple[int, ...],
) -> Watched:
    """Trains once, and keeps the models of `early`, which are steps of an evaluation."""
    kept: dict[int, Any] = {}

    def observe(step: int, models: Any) -> None:
        if step in early:
            kept[step] = models

    return Watched(train(architecture, task, config, seeds=seeds, observe=observe), kept)


def training_settings(
    scale: Scale, config: TrainingConfig, tasks: int
) -> dict[str, int | float | str]:
    """What a training used, as results print it; `tasks` were held out."""
    return {
        "steps": config.steps,
        "batch": config.batch,
        "queries a prompt": 1 if scale == "paper" else QUERIES,
        "learning rate": config.optimizer.learning_rate,
        "schedule": config.optimizer.schedule,
        "held-out tasks": tasks,
        "precision": "float32",
    }
