"""Score against layer: the transformer as points, direct training as lines, yardsticks beside."""

import numpy as np

from innerloop.report.canvas import FAINT, INK, QUIET, TEST, TRAIN, labelled_steps, spread, svg
from innerloop.report.results import Study

LOWEST = -0.1
FLOOR = 1e-17


def scores_figure(study: Study) -> str:
    """Training and test score of every iterate, and below it how far the two runs are apart."""

    def draw(figure):
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        _draw_scores(top, study)
        _draw_difference(bottom, study)

    title = (
        f"{study.name}: {study.score} of the transformer after every step, from "
        f"{study.transformer_test[0]:.2f} to {study.transformer_test[-1]:.2f} on test data"
    )
    return svg(draw, size=(9.0, 5.4), title=title)


def _draw_scores(axes, study: Study) -> None:
    layers, last = study.layers, len(study.layers) - 1
    runs = (
        ("training", TRAIN, study.direct_train, study.transformer_train),
        ("test", TEST, study.direct_test, study.transformer_test),
    )
    labels = []
    for name, colour, direct, transformer in runs:
        axes.plot(layers, direct, color=colour, linewidth=1.0)
        axes.plot(layers, transformer, "o", color=colour, markersize=3.2, markeredgewidth=0)
        labels.append((direct[-1], f"{name} {direct[-1]:.3f}", colour, "bold"))
    for yardstick in study.yardsticks:
        axes.axhline(yardstick.test, color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        text = f"{yardstick.name}, test {yardstick.test:.3f}"
        labels.append((yardstick.test, text, QUIET, "normal"))
    seen = np.concatenate([curve for *_, curve in runs] + [[label[0] for label in labels]])
    seen = seen[np.isfinite(seen)]
    low, high = max(seen.min(), LOWEST), max(seen.max(), 0.0)
    axes.set_ylim(low - 0.04 * (high - low), high + 0.06 * (high - low))
    places = spread([min(max(label[0], low), high) for label in labels], 0.062 * (high - low))
    for (_, text, colour, weight), place in zip(labels, places, strict=True):
        axes.annotate(
            text,
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontweight=weight,
            fontsize=9,
        )
    axes.set_ylabel(f"{study.score}")
    if min(direct[0] for _, _, direct, _ in runs) < low:
        starts = " and ".join(f"{direct[0]:.2f} ({name})" for name, _, direct, _ in runs)
        axes.annotate(
            f"before the first step: {starts}, below the axis",
            (1.0, 0.0),
            xycoords="axes fraction",
            xytext=(-6, 8),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
            color=QUIET,
        )
    axes.set_title(
        "points: read from the transformer \N{MIDDLE DOT} lines: direct training",
        color=QUIET,
        fontweight="normal",
        fontsize=9.5,
    )
    axes.margins(x=0.01)
    steps = labelled_steps(last)
    kept = [s for s in steps if s == 0 or layers[s] - layers[0] > 0.025 * np.ptp(layers)]
    above = axes.secondary_xaxis("top")
    above.set_xticks([layers[s] for s in kept], [f"step {s}" if s == kept[-1] else s for s in kept])
    above.spines["top"].set_visible(False)
    above.tick_params(length=0, labelcolor=QUIET)


def _draw_difference(axes, study: Study) -> None:
    shown = np.maximum(study.difference, FLOOR)
    axes.semilogy(study.layers, shown, color=INK, linewidth=1.0)
    axes.fill_between(study.layers, FLOOR, shown, color=FAINT, alpha=0.35, linewidth=0)
    exponent = np.ceil(np.log10(shown.max())) + 1
    axes.set_ylim(FLOOR, 10.0 ** max(exponent, -10.0))
    axes.set_ylabel("largest\ndifference")
    axes.set_xlabel("depth of the transformer, in layers (attention + MLP)")
    axes.annotate(
        f"at most {study.difference.max():.1e}",
        (1.0, shown[-1]),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
    )
