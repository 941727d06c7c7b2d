"""The report: a page a paper and one over all, self-contained, drawn from stored results alone."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from innerloop.papers.claims import Check, Claim, Outcome, Paper, Scale
from innerloop.papers.registry import PAPERS, select
from innerloop.papers.reproduce import Row, rows
from innerloop.papers.results import Result
from innerloop.papers.verdicts import Verdict
from innerloop.report.canvas import drawn, svg
from innerloop.report.page import CSS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (8.6, 4.4)
DPI = 160
OWN_CSS = Path(__file__).with_name("page.css")


def write_pages(keys: Sequence[str], scale: Scale, store: Path, out: Path) -> Path:
    """Writes a page for each of some papers, its figures, and the page over all papers.

    Args:
        keys: The papers' keys.
        scale: The scale whose results are shown.
        store: Where the results are.
        out: Where the pages go; figures are beside them, as SVG and PNG.

    Returns:
        The path of the page over all papers.
    """
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    groups = {paper.key: list(rows(select([paper.key]), scale, store)) for paper in PAPERS}
    for key in keys:
        (out / f"{key}.html").write_text(paper_page(groups[key], scale), "utf-8")
        for row in groups[key]:
            _write_figure(row, figures / f"{key}-{row.claim.id}")
    index = out / "index.html"
    index.write_text(index_page([group for group in groups.values() if group], scale), "utf-8")
    return index


def index_page(groups: Sequence[Sequence[Row]], scale: Scale) -> str:
    """The page over all papers: a line each, with the number of claims of every verdict."""
    heads = "".join(f"<th>{name}</th>" for name in ("paper", "title", *Verdict))
    lines = []
    for group in groups:
        paper, counts = group[0].paper, Counter(row.verdict for row in group)
        name = f'<a href="{paper.key}.html">{paper.key}</a>'
        numbers = "".join(f'<td class="number">{counts[v] or ""}</td>' for v in Verdict)
        lines.append(f"<tr><td>{name}</td><td>{escape(paper.title)}</td>{numbers}</tr>")
    total = Counter(row.verdict for group in groups for row in group)
    sums = "".join(f'<td class="number">{total[v] or ""}</td>' for v in Verdict)
    lines.append(f'<tr class="block"><td colspan="2">all</td>{sums}</tr>')
    return _html(
        "Innerloop: the literature, claim by claim",
        "<h1>The literature, claim by claim</h1>"
        '<p class="lead">What each paper says was computed, and is printed beside what came out.'
        f'</p><p class="quiet">Scale: {scale}.</p>'
        f'<div class="scroll"><table><tr>{heads}</tr>{"".join(lines)}</table></div>',
    )


def paper_page(group: Sequence[Row], scale: Scale) -> str:
    """The page of one paper."""
    paper = group[0].paper
    heads = ("claim", "what it says", "place", "checks", "verdict")
    lines = "".join(f"<tr>{_line(row)}</tr>" for row in group)
    results = [row.result for row in group if row.result is not None]
    return _html(
        f"Innerloop: {paper.key}",
        "\n".join(
            [
                '<p class="quiet"><a href="index.html">All papers</a></p>',
                f"<h1>{escape(paper.title)}</h1>",
                f'<p class="quiet">{escape(paper.authors)} &middot; '
                f'<a href="{paper.link}">{escape(paper.link)}</a></p>',
                f'<p class="lead">{escape(paper.summary)}</p>',
                f"<h3>What we found</h3><p>{escape(paper.found)}</p>",
                f"<p>{_tally(group)}</p>",
                '<div class="scroll"><table><tr>',
                "".join(f"<th>{head}</th>" for head in heads),
                f"</tr>{lines}</table></div>",
                *(_section(row) for row in group if row.claim.measure is not None),
                _how(paper, scale, results),
            ]
        ),
    )


def _line(row: Row) -> str:
    claim = row.claim
    name = escape(claim.id)
    link = f'<a href="#{name}">{name}</a>' if claim.measure is not None else name
    outcome = row.result.outcome if row.result is not None else None
    held = f"{sum(c.holds for c in outcome.checks)} of {len(outcome.checks)}" if outcome else ""
    cells = (link, escape(claim.statement), escape(claim.place), held, _pill(row.verdict))
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _section(row: Row) -> str:
    claim, result = row.claim, row.result
    parts = [
        f'<h2 id="{escape(claim.id)}">{escape(claim.id)} {_pill(row.verdict)}</h2>',
        f'<p>{escape(claim.statement)} <span class="quiet">{escape(claim.place)}.</span></p>',
    ]
    if claim.correction:
        parts.append(f"<p><b>Our correction.</b> {escape(claim.correction)}</p>")
    if claim.shortfall:
        parts.append(f"<p><b>Why it does not reproduce.</b> {escape(claim.shortfall)}</p>")
    if row.verdict is Verdict.NEEDS_SCALE:
        parts.append(f"<p>Run it with <code>--scale {claim.least}</code>.</p>")
    if result is not None and result.outcome is not None:
        parts += [_checks(result.outcome.checks), _drawing(claim, result.outcome)]
        parts.append(f'<p class="quiet">{escape(_settings(claim, result))}</p>')
    elif result is not None:
        parts.append(f"<pre>{escape(result.error)}</pre>")
    return "\n".join(parts)


def _checks(checks: Sequence[Check]) -> str:
    heads = ("number", "paper said", "we got", "accepted", "")
    lines = []
    for check in checks:
        cells = (check.what, check.said, f"{check.got:.6g}", check.accepted)
        cells = (*cells, "holds" if check.holds else "does not hold")
        style = "" if check.holds else ' class="fails"'
        lines.append(f"<tr{style}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    table = f"<table><tr>{''.join(f'<th>{h}</th>' for h in heads)}</tr>{''.join(lines)}</table>"
    if len(checks) <= 12:
        return f'<div class="scroll">{table}</div>'
    held = sum(check.holds for check in checks)
    words = f"{held} of {len(checks)} checks hold"
    return f'<details><summary>{words}</summary><div class="scroll">{table}</div></details>'


def _drawing(claim: Claim, outcome: Outcome) -> str:
    if claim.draw is None:
        return ""
    draw = partial(_draw, claim, outcome)
    figure = svg(draw, size=SIZE, title=claim.caption)
    return f"<figure>{figure}<figcaption>{escape(claim.caption)}</figcaption></figure>"


def _draw(claim: Claim, outcome: Outcome, figure: "Figure") -> None:
    if claim.draw is not None:
        claim.draw(figure, outcome.arrays)


def _write_figure(row: Row, stem: Path) -> None:
    if row.claim.draw is None or row.result is None or row.result.outcome is None:
        return
    draw = partial(_draw, row.claim, row.result.outcome)
    for form in ("svg", "png"):
        stem.with_suffix(f".{form}").write_bytes(
            drawn(draw, size=SIZE, form=form, dpi=DPI, facecolor="white")
        )


def _settings(claim: Claim, result: Result) -> str:
    outcome = result.outcome
    words = [f"Tolerance: {claim.tolerance}"]
    if outcome is not None and outcome.settings:
        words.append(", ".join(f"{k} {v:,}" if isinstance(v, int) else f"{k} {v}"
                               for k, v in outcome.settings.items()))  # fmt: skip
    if outcome is not None and outcome.seeds:
        words.append("seeds " + ", ".join(map(str, outcome.seeds)))
    return "; ".join([*words, f"{claim.dtype}", f"{result.seconds:.1f} s"]) + "."


def _tally(group: Sequence[Row]) -> str:
    counts = Counter(row.verdict for row in group)
    return " ".join(f"{_pill(v)} {counts[v]} &emsp;" for v in Verdict if counts[v])


def _pill(verdict: Verdict) -> str:
    return f'<span class="pill {verdict.name.lower()}">{escape(verdict.value)}</span>'


def _how(paper: Paper, scale: Scale, results: Sequence[Result]) -> str:
    seconds = sum(result.seconds for result in results)
    versions = results[0].versions if results else {}
    stated = ", ".join(f"{name} {number}" for name, number in versions.items())
    return (
        f"<footer><code>innerloop reproduce {paper.key} --scale {scale}</code> &middot; "
        f"{seconds:.0f} s of computing &middot; {escape(stated)}. The page needs no network; it is "
        "drawn from the results stored beside it.</footer>"
    )


def _html(title: str, body: str) -> str:
    css = CSS.read_text("utf-8") + OWN_CSS.read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{css}</style></head><body>{body}</body></html>\n"
    )
