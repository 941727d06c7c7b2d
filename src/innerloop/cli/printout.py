"""What a command prints on stdout."""

import math

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from innerloop.report import Study
from innerloop.report.canvas import labelled_steps

PIPED_WIDTH = 140
FIRST, LAST = (("", "step"), ("", "layers")), (("largest", "difference"),)
SCORES = (("transformer", "train"), ("", "test"), ("direct", "train"), ("", "test"))
LOG_LOSSES = (("log-loss", "transformer"), ("", "direct"))


def score_table(study: Study) -> Group:
    """Scores after selected steps: the transformer's, direct training's and the yardsticks'."""
    sizes = study.sizes
    table = Table(box=None, padding=(0, 1))
    probable = len(study.direct_log_loss) > 0
    for above, name in (*FIRST, *SCORES, *(LOG_LOSSES if probable else ()), *LAST):
        table.add_column(f"{above}\n{name}", justify="right")
    series = (study.transformer_train, study.transformer_test, study.direct_train)
    series += (study.direct_test,)
    series += (study.transformer_log_loss, study.direct_log_loss) if probable else ()
    for s in labelled_steps(sizes["steps"]):
        table.add_row(
            f"{s}",
            f"{study.layers[s]}",
            *(number(values[s]) for values in series),
            f"{study.difference[s]:.1e}",
        )
    yardsticks = [
        Text(
            f"  {y.name}: training {number(y.train)}, test {number(y.test)}"
            + (f", log-loss {number(y.log_loss)}" if y.log_loss is not None else "")
        )
        for y in study.yardsticks
    ]
    return Group(
        Text(f"{study.name}: {study.learner}", style="bold"),
        Text(
            f"  {sizes['n']} context examples, {sizes['m']} test queries; {sizes['steps']} steps "
            f"in {sizes['depth']} layers of width {sizes['width']}, {study.dtype}; {study.score}:"
        ),
        table,
        *yardsticks,
    )


def certificate(study: Study) -> str:
    """What the model promises, and whether this run kept within it; unwrapped, to be searched."""
    lines = [*study.certificate.splitlines(), f"on these data: {study.check}"]
    return "\n".join(["  certificate:", *(f"    {line}" for line in lines), ""])


def print_study(console: Console, study: Study) -> None:
    """Prints the scores and the certificate."""
    console.print(score_table(study))
    console.print(certificate(study), markup=False, soft_wrap=True)


def number(score: float) -> str:
    """A score with four digits, or a dash where it has no value."""
    return "–" if math.isnan(score) else f"{score:.4f}"


def printer() -> Console:
    """Stdout; wide enough for a table when it goes to a file or a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)
