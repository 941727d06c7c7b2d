"""One self-contained page: everything inline, nothing fetched, readable without a network."""

from html import escape
from pathlib import Path

from innerloop.report.archive import load_results
from innerloop.report.canvas import DATA, REGISTER, labelled_steps
from innerloop.report.results import Results, Study
from innerloop.report.scores import scores_figure
from innerloop.report.slices import slice_figure
from innerloop.report.stream import stream_figure

REPORT_FILE = "report.html"
CSS = Path(__file__).with_name("page.css")

CAPTIONS = {
    "scores": "Points are read from the transformer's residual stream, after the layers that make "
    "one step; lines are the same algorithm run directly. Below, the largest difference between "
    "their predictions at any training row, test row or point of the slice.",
    "slice": "What the transformer has learnt after every step, light (before the first) to dark "
    "(after the last). {beside}",
    "stream": "Each row is a named subspace with its number of coordinates; a bar spans the "
    "half-layers (A attention, M MLP) in which it holds a live value. Coordinates are reused once "
    "a value is dead."
    f'<br><span class="key"><i style="background:{DATA}"></i>data tokens</span>'
    f' <span class="key"><i style="background:{REGISTER}"></i>register tokens</span>',
}


def write_report(directory: Path) -> Path:
    """Draws the page from the results saved in `directory`, without running anything again.

    Args:
        directory: Where `save_results` wrote.

    Returns:
        The path of `report.html`, beside them.

    Raises:
        FileNotFoundError: If there are no results.
    """
    path = directory / REPORT_FILE
    path.write_text(page(load_results(directory)), "utf-8")
    return path


def page(results: Results) -> str:
    """The whole page as HTML text."""
    names = " and ".join(escape(study.name) for study in results.studies)
    versions = ", ".join(f"{k} {v}" for k, v in results.versions.items())
    messages = "".join(f"<li>{escape(message)}</li>" for message in results.messages)
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Innerloop: {names}</title><style>{CSS.read_text('utf-8')}</style>",
            "</head><body>",
            "<h1>A transformer that learns in its forward pass</h1>",
            '<p class="lead">The training of a small network was compiled into the weights of a '
            "transformer. Its prompt is a data set, and in one forward pass it trains the network "
            "on it: every few layers are one step.</p>",
            f'<p class="quiet"><code>{escape(results.command)}</code> &middot; seed {results.seed} '
            f"&middot; {results.seconds:.0f} s in all &middot; {escape(versions)}</p>",
            f'<ul class="messages">{messages}</ul>' if messages else "",
            *(_section(study) for study in results.studies),
            "<footer>This file needs no network. Its figures are drawn from "
            "<code>results.json</code> and <code>results.npz</code> beside it: "
            "<code>innerloop.report.write_report(directory)</code> draws them again.</footer>",
            "</body></html>",
        ]
    )


def _section(study: Study) -> str:
    beside = (
        "Grey points are the training rows."
        if len(study.cut.at)
        else "Below, images along the way from one to the other."
    )
    return "\n".join(
        [
            f"<h2>{escape(study.name)}</h2>",
            f"<p>{escape(study.learner)}, in {escape(study.dtype)}.</p>",
            _facts(study),
            "<h3>Score against layer</h3>",
            _figure(scores_figure(study), CAPTIONS["scores"]),
            _score_table(study),
            "<h3>The function learnt, step by step</h3>",
            _figure(slice_figure(study), CAPTIONS["slice"].format(beside=beside), "narrow")
            if len(study.cut.outputs) == 1
            else _figure(slice_figure(study), CAPTIONS["slice"].format(beside=beside)),
            "<h3>The residual stream</h3>",
            _figure(stream_figure(study), CAPTIONS["stream"]) if study.lifetimes else "",
            "<h3>Certificate</h3>",
            f"<pre>{escape(study.certificate)}\n\n{escape(study.check)}</pre>",
            _anatomy(study),
        ]
    )


def _figure(svg: str, caption: str, style: str = "") -> str:
    return f'<figure class="{style}">{svg}<figcaption>{caption}</figcaption></figure>'


def _facts(study: Study) -> str:
    sizes = study.sizes
    facts = {
        "layers": f"{sizes['depth']:,}",
        "training steps": f"{sizes['steps']:,}",
        "residual width": f"{sizes['width']:,}",
        "context examples": f"{sizes['n']:,}",
        "test queries": f"{sizes['m']:,}",
        "covariates": f"{sizes['d']:,}",
        "classes" if study.score == "accuracy" else "targets": f"{sizes['p']:,}",
        **{f"{stage}, s": f"{seconds:.1f}" for stage, seconds in study.seconds.items()},
    }
    cells = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts.items())
    return f'<dl class="facts">{cells}</dl>'


def _score_table(study: Study) -> str:
    probable = len(study.direct_log_loss) > 0
    header = ("step", "layers", "transformer: train", "test", "direct: train", "test")
    header += ("log-loss: transformer", "direct") if probable else ()
    head = "".join(f'<th class="number">{name}</th>' for name in (*header, "difference"))
    series = (study.transformer_train, study.transformer_test, study.direct_train)
    series += (study.direct_test,)
    series += (study.transformer_log_loss, study.direct_log_loss) if probable else ()
    rows = []
    for s in labelled_steps(study.sizes["steps"]):
        cells = (
            f"{s}",
            f"{study.layers[s]}",
            *(f"{values[s]:.4f}" for values in series),
            f"{study.difference[s]:.1e}",
        )
        rows.append("".join(f'<td class="number">{cell}</td>' for cell in cells))
    for yardstick in study.yardsticks:
        cells = (f"{yardstick.train:.4f}", f"{yardstick.test:.4f}")
        if probable:
            cells += ("", "" if yardstick.log_loss is None else f"{yardstick.log_loss:.4f}")
        numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
        rows.append(f'<td colspan="4">{escape(yardstick.name)}</td>{numbers}<td></td>')
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _anatomy(study: Study) -> str:
    header = ("block", "layer", "part", "computes", "reads", "writes", "size", "from")
    head = "".join(f"<th>{name}</th>" for name in header)
    rows, before = [], ""
    for row in study.anatomy:
        cells = (row.block, row.layer, row.kind, row.computes, ", ".join(row.reads))
        cells = (*cells, ", ".join(row.writes), row.size, row.source)
        style = ' class="block"' if before not in ("", row.block) else ""
        before = row.block
        rows.append(f"<tr{style}>{''.join(f'<td>{escape(str(cell))}</td>' for cell in cells)}</tr>")
    return (
        f"<details><summary>Anatomy: what each of {len(study.anatomy)} heads and groups of neurons "
        f'is for</summary><div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
        "</details>"
    )
