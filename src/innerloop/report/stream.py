"""The residual stream's map: which named subspace is live in which half-layer."""

from innerloop.report.canvas import DATA, INK, QUIET, REGISTER, svg
from innerloop.report.results import Lifetime, Study

COLOURS = {"data": DATA, "register": REGISTER}
BLOCKS = ("init", "step", "read-out")
ROW_HEIGHT, LAYER_WIDTH = 0.21, 0.5


def stream_figure(study: Study) -> str:
    """A row for each subspace and a column for each half-layer, a panel for each block."""
    panels = [
        (block, [r for r in study.lifetimes if r.block in ("", block)], 2 * study.blocks[block])
        for block in BLOCKS
        if study.blocks[block]
    ]
    names = list(dict.fromkeys((r.tokens, r.name) for _, rows, _ in panels for r in rows))
    names.sort(key=lambda key: key[0])
    place = {key: row for row, key in enumerate(names)}

    def draw(figure):
        widths = [halves + 1 for *_, halves in panels]
        grid = figure.subplots(1, len(panels), sharey=True, width_ratios=widths, squeeze=False)[0]
        for axes, (block, rows, halves) in zip(grid, panels, strict=True):
            _draw_block(axes, block, rows, halves, place)
        sizes = {(r.tokens, r.name): r.size for _, rows, _ in panels for r in rows}
        grid[0].set_yticks(range(len(names)), [f"{name} ({sizes[t, name]})" for t, name in names])
        grid[0].set_ylim(len(names) - 0.4, -0.6)
        for label, (tokens, _) in zip(grid[0].get_yticklabels(), names, strict=True):
            label.set_color(COLOURS.get(tokens, INK))

    halves = sum(width for *_, width in panels)
    size = (max(3.4 + LAYER_WIDTH * halves, 6.4), 1.2 + ROW_HEIGHT * len(names))
    title = f"{study.name}: {len(names)} subspaces of the residual stream, live or dead by layer"
    return svg(draw, size=size, title=title)


def _draw_block(axes, block: str, rows: list[Lifetime], halves: int, place: dict) -> None:
    for row in rows:
        born, dies = (row.born, row.dies) if row.block else (-1, halves - 1)
        axes.barh(
            place[row.tokens, row.name],
            dies - born + 1,
            left=born - 0.5,
            height=0.72,
            color=COLOURS.get(row.tokens, QUIET),
            linewidth=0,
        )
    for boundary in range(0, halves + 1, 2):
        axes.axvline(boundary - 0.5, color=INK, linewidth=0.5, alpha=0.35, zorder=0)
    axes.set_xlim(-1.5, halves - 0.5)
    ticks = ["start", *("AM"[half % 2] for half in range(halves))]
    axes.set_xticks(range(-1, halves), ticks)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.set_title({"step": "every step", "init": "before"}.get(block, block))
    axes.set_xlabel(f"{(halves + 1) // 2} layers")
