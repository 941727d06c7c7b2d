"""A progress bar over the stages of a command, on stderr, where someone is looking."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed


class Stages:
    """Shows which of a known number of stages is running; nothing when stderr is not a terminal.

    Args:
        total: How many stages there will be.

    Example:
        >>> with Stages(2) as stage:
        ...     stage("compile")
        ...     stage("run")
    """

    def __init__(self, total: int):
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Elapsed(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=total)
        self._started = False

    def __enter__(self) -> "Stages":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, description: str) -> None:
        """Ends the stage before, and begins `description`."""
        self._progress.update(
            self._task, description=description, advance=1 if self._started else 0
        )
        self._started = True
