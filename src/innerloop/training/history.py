"""What happened in a run, evaluation by evaluation; kept as JSON lines while it happens."""

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

RUNNING, FINISHED, TARGET, STALLED, DIVERGED = (
    "running",
    "finished",
    "reached its target",
    "stopped improving",
    "diverged",
)


@dataclass(frozen=True)
class Record:
    """One evaluation.

    Args:
        step: Optimiser steps taken.
        training: By seed, the mean training loss since the evaluation before; None where the seed
            had stopped.
        held_out: By seed, the loss on the held-out prompts; None where it is not finite.
        stopped: By seed, the step at which it stopped, or None.
        status: By seed, whether it runs or why it stopped.
        learning_rate: The step size at this step.
        seconds: Processor seconds of this process since the run began or continued.
    """

    step: int
    training: tuple[float | None, ...]
    held_out: tuple[float | None, ...]
    stopped: tuple[int | None, ...]
    status: tuple[str, ...]
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class History:
    """All evaluations of a run, the first before any step."""

    records: tuple[Record, ...]

    @property
    def steps(self) -> Int[np.ndarray, " evaluations"]:
        """Optimiser steps taken before each evaluation."""
        return np.array([record.step for record in self.records])

    @property
    def held_out(self) -> Float[np.ndarray, "evaluations seeds"]:
        """The held-out losses; NaN where they were not finite."""
        return _table([record.held_out for record in self.records])

    @property
    def training(self) -> Float[np.ndarray, "evaluations seeds"]:
        """The mean training losses between evaluations; NaN before the first and after a stop."""
        return _table([record.training for record in self.records])

    @property
    def status(self) -> tuple[str, ...]:
        """By seed, how it ended."""
        return self.records[-1].status

    @property
    def stopped(self) -> tuple[int | None, ...]:
        """By seed, the step at which it stopped early, or None."""
        return self.records[-1].stopped


def append(path: Path, record: Record) -> None:
    """Adds a line, and returns when it is on disk."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(record), allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path, *, until: int | None = None) -> tuple[Record, ...]:
    """The records of a file, up to a step; a line that was cut off ends them."""
    records = []
    for line in path.read_text("utf-8").splitlines():
        try:
            fields: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            break
        for name in ("training", "held_out", "stopped", "status"):
            fields[name] = tuple(fields[name])
        record = Record(**fields)
        if until is not None and record.step > until:
            break
        records.append(record)
    return tuple(records)


def rewrite(path: Path, records: tuple[Record, ...]) -> None:
    """Replaces a file by these records, at once."""
    lines = "".join(json.dumps(asdict(r), allow_nan=False) + "\n" for r in records)
    part = path.with_suffix(".part")
    part.write_text(lines, encoding="utf-8")
    os.replace(part, path)


def finite(values: np.ndarray) -> tuple[float | None, ...]:
    """Numbers for a record: None for what is not finite, which JSON cannot write."""
    return tuple(float(v) if math.isfinite(v) else None for v in values)


def _table(rows: list[tuple[float | None, ...]]) -> Float[np.ndarray, "evaluations seeds"]:
    return np.array([[np.nan if v is None else v for v in row] for row in rows], float)
