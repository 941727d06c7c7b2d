"""Whether a seed goes on after an evaluation, and why it stopped if it does not."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from innerloop.training import history as log
from innerloop.training.config import TrainingConfig
from innerloop.training.history import Record


class Chunk(NamedTuple):
    """What a chunk of steps left behind.

    Args:
        losses: The loss of every step.
        taken: Which steps were taken; a seed that meets a loss that is not finite takes no more.
    """

    losses: Float[np.ndarray, "seeds steps"]
    taken: Bool[np.ndarray, "seeds steps"]

    @property
    def means(self) -> Float[np.ndarray, " seeds"]:
        """The mean loss of the steps taken; NaN where there were none."""
        count = self.taken.sum(1)
        total = np.where(self.taken, self.losses, 0.0).sum(1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


class Verdict(NamedTuple):
    """The state of a seed, and the step at which it stopped early."""

    status: str
    stopped: int | None


def verdicts(
    records: Sequence[Record],
    chunk: Chunk,
    held_out: Float[np.ndarray, " seeds"],
    config: TrainingConfig,
) -> list[Verdict]:
    """The verdict on every seed after a chunk.

    Args:
        records: The evaluations before, at least one.
        chunk: The steps since the last of them.
        held_out: The held-out losses now.
        config: When to stop.

    Returns:
        A verdict a seed; one that has been passed stands.
    """
    before = records[-1]
    step = before.step + chunk.taken.shape[1]
    found = []
    for seed, (status, stopped) in enumerate(zip(before.status, before.stopped, strict=True)):
        if status != log.RUNNING:
            found.append(Verdict(status, stopped))
        elif not chunk.taken[seed].all():
            found.append(Verdict(log.DIVERGED, before.step + int(np.argmin(chunk.taken[seed]))))
        else:
            past = [record.held_out[seed] for record in records]
            found.append(_judged(past, float(held_out[seed]), step, config))
    return found


def first_verdict(held_out: float, config: TrainingConfig) -> Verdict:
    """The verdict on a seed before any step."""
    return _judged([], held_out, 0, config)


def _judged(past: Sequence[float | None], now: float, step: int, config: TrainingConfig) -> Verdict:
    """From a seed's held-out losses: does it go on?"""
    first = past[0] if past else now
    if first is None or not np.isfinite(now) or now > config.divergence * first:
        return Verdict(log.DIVERGED, step)
    if config.target is not None and now <= config.target:
        return Verdict(log.TARGET, step)
    if config.patience is not None and len(past) >= config.patience:
        finite = [np.inf if loss is None else loss for loss in (*past, now)]
        if min(finite[-config.patience :]) >= min(finite[: -config.patience]):
            return Verdict(log.STALLED, step)
    return Verdict(log.FINISHED if step >= config.steps else log.RUNNING, None)
