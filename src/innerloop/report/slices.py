"""The function learnt, along a line through the covariates, after every step: light to dark."""

import numpy as np

from innerloop.report.canvas import FAINT, QUIET, labelled_steps, ramp, spread, svg
from innerloop.report.results import Study

PANEL_WIDTH, PANEL_HEIGHT, STRIP = 5.2, 3.8, 0.9


def slice_figure(study: Study) -> str:
    """A panel for each drawn output; images below the axis where the covariates are pixels."""
    outputs, images = study.cut.outputs, study.cut.images

    def draw(figure):
        first = None
        rows = 2 if len(images) else 1
        grid = figure.add_gridspec(
            rows, len(outputs), height_ratios=(PANEL_HEIGHT, STRIP)[:rows], wspace=0.08
        )
        for k, output in enumerate(outputs):
            axes = figure.add_subplot(grid[0, k], sharey=first)
            first = axes if study.score == "accuracy" else None
            _draw_curves(axes, study, output)
            if len(images):
                _draw_images(figure.add_subplot(grid[1, k]), images)
            (figure.axes[-1] if len(images) else axes).set_xlabel(study.cut.axis)

    width = max(PANEL_WIDTH * len(outputs), 6.4)
    height = PANEL_HEIGHT + (STRIP if len(images) else 0.0)
    title = f"{study.name}: the learnt function after every step, {study.cut.axis}"
    return svg(draw, size=(width, height), title=title)


def _draw_curves(axes, study: Study, output: int) -> None:
    position, curves = study.cut.position, study.curves[..., output]
    last = len(curves) - 1
    colours = ramp(last + 1)
    if len(study.cut.at):
        axes.plot(
            study.cut.at,
            study.cut.values[:, output],
            "o",
            color=FAINT,
            markersize=2.6,
            markeredgewidth=0,
            alpha=0.7,
            zorder=1,
        )
    for step, (curve, colour) in enumerate(zip(curves, colours, strict=True)):
        axes.plot(position, curve, color=colour, linewidth=2.2 if step == last else 0.9, zorder=2)
    low, high = axes.get_ylim()
    steps = labelled_steps(last)
    places = spread([curves[s, -1] for s in steps], 0.052 * (high - low))
    for step, place in zip(steps, places, strict=True):
        axes.annotate(
            f"step {step}" if step in (0, last) else f"{step}",
            (position[-1], place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=QUIET if step == 0 else colours[step],
            fontweight="bold" if step == last else "normal",
        )
    what = ""
    if study.score == "accuracy":
        what = "probability of " if len(study.direct_log_loss) else "score of class "
    axes.set_title(f"{what}{study.targets[output]}")
    axes.margins(x=0.0)


def _draw_images(axes, images: np.ndarray) -> None:
    """Images side by side, drawn as cells so that they stay sharp at any size."""
    count, rows, columns = images.shape
    gap = 2
    width = count * columns + (count - 1) * gap
    for k, image in enumerate(images):
        left = k * (columns + gap)
        x, y = np.arange(columns + 1) + left, np.arange(rows + 1)
        axes.pcolormesh(x, y, image, cmap="Greys", edgecolors="face", linewidth=0.2)
    axes.set_xlim(0, width)
    axes.set_ylim(rows, 0)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
