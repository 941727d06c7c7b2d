"""What a command prints on stdout."""

import math

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from innerloop.report import Study
from innerloop.report.canvas import labelled_steps

PIPED_WIDTH = 140
COLUMNS = (
    ("", "step"),
    ("", "layers"),
    ("transformer", "train"),
    ("", "test"),
    ("direct", "train"),
    ("", "test"),
    ("largest", "difference"),
)


def score_table(study: Study) -> Group:
    """Scores after selected steps: the transformer's, direct training's and the yardsticks'."""
    sizes = study.sizes
    table = Table(box=None, padding=(0, 1))
    for above, name in COLUMNS:
        table.add_column(f"{above}\n{name}", justify="right")
    for s in labelled_steps(sizes["steps"]):
        table.add_row(
            f"{s}",
            f"{study.layers[s]}",
            *(number(scores[s]) for scores in (study.transformer_train, study.transformer_test)),
            *(number(scores[s]) for scores in (study.direct_train, study.direct_test)),
            f"{study.difference[s]:.1e}",
        )
    yardsticks = [
        Text(f"  {y.name}: training {number(y.train)}, test {number(y.test)}")
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
        Text(f"  {study.check}"),
        Text(""),
    )


def number(score: float) -> str:
    """A score with four digits, or a dash where it has no value."""
    return "–" if math.isnan(score) else f"{score:.4f}"


def printer() -> Console:
    """Stdout; wide enough for a table when it goes to a file or a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)
