"""Progress bars on stderr, where someone is looking; nothing where nobody is."""

import math
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from innerloop.training import Record


class Bar:
    """One bar, shown while it is entered, and only when stderr is a terminal.

    Args:
        total: Of what it counts.
        *columns: What it shows.
        **fields: The values at the start that columns ask for.
    """

    def __init__(self, total: int, *columns: ProgressColumn, **fields: Any):
        console = Console(stderr=True)
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._progress.add_task("", total=total, **fields)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()


class Stages(Bar):
    """Shows which of a known number of stages is running.

    Args:
        total: How many stages there will be.

    Example:
        >>> with Stages(2) as stage:
        ...     stage("compile")
        ...     stage("run")
    """

    def __init__(self, total: int):
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
        super().__init__(total, *columns, MofNCompleteColumn(), TimeElapsedColumn())
        self._started = False

    def __call__(self, description: str) -> None:
        """Ends the stage before, and begins `description`."""
        self._progress.update(
            self._task, description=description, advance=1 if self._started else 0
        )
        self._started = True


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

    def __call__(self, record: "Record") -> None:
        """Shows a record."""
        now, rate = time.perf_counter(), math.nan
        if self._last is not None:
            rate = (record.step - self._last[1]) / max(now - self._last[0], 1e-9)
        self._last = (now, record.step)
        known = [loss for loss in record.held_out if loss is not None]
        loss = f"{sum(known) / len(known):.5f}" if known else "-"
        self._progress.update(self._task, completed=record.step, loss=loss, rate=f"{rate:.0f}")
