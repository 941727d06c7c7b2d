"""Progress bars on stderr, where someone is looking; nothing where nobody is."""

from types import TracebackType
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

Shown = TypeVar("Shown", bound="Bar")


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

    def __enter__(self: Shown) -> Shown:
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
