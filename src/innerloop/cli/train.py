"""`innerloop train`: a preset or a configuration becomes a run folder."""

import json
import math
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from innerloop.cli.commands import Train
from innerloop.cli.errors import UserError, require_extra
from innerloop.cli.experiment import writable
from innerloop.cli.progress import Bar
from innerloop.training import PRESETS, ConfigurationError, Record, Run, execute
from innerloop.training.configurations import Plain, decode, encode, override
from innerloop.training.runs import CONFIG, KINDS


def train(command: Train) -> int:
    """Runs the command.

    Args:
        command: Its options.

    Returns:
        The exit code: 0, or 1 if every seed diverged.

    Raises:
        UserError: If the configuration is not as it must be.
    """
    run = configured(command)
    require_extra("orbax", extra="train")
    out = writable(command.out or Path("innerloop-train") / Path(command.config).stem)
    with Steps(run.training.steps) as steps:
        try:
            trained = execute(run, out, report=steps)
        except ConfigurationError as error:
            raise UserError(_line(error)) from None
    console = Console(highlight=False)
    losses = zip(run.seeds, trained.status, trained.history.stopped, trained.held_out, strict=True)
    for seed, status, stopped, loss in losses:
        at = "" if stopped is None else f" at step {stopped}"
        console.print(f"seed {seed}: held-out loss {loss:.6g}, {status}{at}", soft_wrap=True)
    console.print(f"metrics, checkpoints and weights: {out}", soft_wrap=True)
    return 1 if all(status == "diverged" for status in trained.status) else 0


def configured(command: Train) -> Run:
    """The run that a command describes.

    Raises:
        UserError: If there is no such preset or file, or a field is unknown or wrong.
    """
    path = Path(command.config)
    if path.is_dir():
        path = path / CONFIG
    if command.config in PRESETS:
        data = encode(PRESETS[command.config])
    elif path.is_file():
        try:
            data = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is not JSON: {_line(error)}") from None
    else:
        raise UserError(
            f"{command.config} is no preset and no file; the presets are {', '.join(PRESETS)}"
        )
    try:
        for change in command.set:
            name, equals, text = change.partition("=")
            if not equals:
                raise UserError(f"--set {change} has no value; write --set task.n=20")
            override(data, name, _value(text))
        if command.seeds is not None:
            override(data, "seeds", list(range(command.seeds)))
        return decode(data, Run, KINDS)
    except ConfigurationError as error:
        raise UserError(_line(error).rstrip(".")) from None


def _value(text: str) -> Plain:
    """What a word on the command line stands for: JSON, or else itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


class Steps(Bar):
    """Shows how far a training is, with loss, rate and time left.

    Args:
        total: How many steps there will be.
    """

    def __init__(self, total: int):
        count = TextColumn("{task.completed:.0f} of {task.total:.0f} steps")
        state = TextColumn("loss {task.fields[loss]}  {task.fields[rate]} steps/s")
        super().__init__(
            total, count, BarColumn(), state, TimeRemainingColumn(), loss="-", rate="-"
        )
        self._last: tuple[float, int] | None = None

    def __call__(self, record: Record) -> None:
        """Shows a record."""
        now, rate = time.perf_counter(), math.nan
        if self._last is not None:
            rate = (record.step - self._last[1]) / max(now - self._last[0], 1e-9)
        self._last = (now, record.step)
        known = [loss for loss in record.held_out if loss is not None]
        loss = f"{sum(known) / len(known):.5f}" if known else "-"
        self._progress.update(self._task, completed=record.step, loss=loss, rate=f"{rate:.0f}")
