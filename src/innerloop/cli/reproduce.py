"""`innerloop reproduce`: the claims of the literature, computed, stored and reported on."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from innerloop.cli.commands import Reproduce
from innerloop.cli.errors import UserError, require_extra
from innerloop.cli.printout import printer
from innerloop.cli.progress import Stages
from innerloop.papers import Item, Row, Verdict, missing, rows, run_missing, select
from innerloop.papers.page import write_pages

RESULTS = "results"


def reproduce(command: Reproduce) -> int:
    """Runs the command.

    Args:
        command: Its options.

    Returns:
        The exit code: 0, also where a claim is not reproduced, for that is a finding; 1 where the
        computation of a claim ended in an error.

    Raises:
        UserError: If a paper, a claim or the directory cannot be used.
    """
    try:
        items = select(command.paper, command.claim)
    except KeyError as error:
        raise UserError(error.args[0]) from None
    console = printer()
    if command.list:
        console.print(claim_table(items))
        return 0
    if command.jobs == 0:
        raise UserError("--jobs 0 runs nothing; give a number of processes, or -1 for all cores")
    require_extra("joblib", "matplotlib", "sklearn", extra="reproduce")
    try:
        command.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {command.out} cannot be made: {error.strerror}") from None
    store = command.out / RESULTS
    waiting = missing(items, command.scale, store)
    with Stages(len(waiting)) as stage:
        stage(f"computing {len(waiting)} claims")
        run_missing(
            waiting,
            command.scale,
            store,
            jobs=command.jobs,
            done=lambda result: stage(f"{result.paper} {result.claim}"),
        )
    found = list(rows(items, command.scale, store))
    papers = dict.fromkeys(item.paper.key for item in items)
    index = write_pages(tuple(papers), command.scale, store, command.out)
    print_verdicts(console, found)
    console.print(f"report: {index}", soft_wrap=True)
    return 1 if any(row.verdict is Verdict.FAILED for row in found) else 0


def claim_table(items: Sequence[Item]) -> Table:
    """Every claim with its place, and whether it can be run."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("paper", "claim", "place", "scale", "what it says"):
        table.add_column(name, no_wrap=name in ("paper", "claim"))
    for paper, claim in items:
        scale = "not built yet" if claim.measure is None else claim.least
        cells = (paper.key, claim.id, claim.place, scale, claim.statement)
        table.add_row(*map(Text, cells))
    return table


def print_verdicts(console: Console, found: Sequence[Row]) -> None:
    """Paper said, we got, verdict: a line a claim, with the number that decides."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("paper", "claim", "deciding number", "paper said", "we got", "accepted"):
        table.add_column(name, no_wrap=name in ("paper", "claim", "we got"))
    table.add_column("verdict", no_wrap=True)
    for row in found:
        outcome = row.result.outcome if row.result is not None else None
        numbers = ("", "", "", "")
        if outcome is not None and outcome.checks:
            check = next((c for c in outcome.checks if not c.holds), outcome.checks[0])
            numbers = (check.what, check.said, f"{check.got:.5g}", check.accepted)
        table.add_row(*map(Text, (row.paper.key, row.claim.id, *numbers, row.verdict.value)))
    console.print(table)
    counts = Counter(row.verdict for row in found)
    console.print(", ".join(f"{counts[v]} {v}" for v in Verdict if counts[v]))
