"""Training curves as the paper draws them: a line a seed, over the best gradient step."""

from typing import TYPE_CHECKING

import numpy as np

from innerloop.report.canvas import QUIET, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_seeds(
    axes: "Axes", steps: np.ndarray, losses: np.ndarray, label: str, *, colour: str = TEST
) -> None:
    """The losses of all seeds in one colour, with one entry in the legend."""
    lines = axes.plot(steps, losses, color=colour, linewidth=1)
    lines[0].set_label(label)


def draw_least(
    axes: "Axes", least: np.ndarray, *, colour: str = QUIET, ylabel: str = "loss"
) -> None:
    """The loss of the best gradient step, on axes that fit it and a plateau."""
    axes.axhline(float(least), color=colour, linestyle="--", label="the best gradient step")
    axes.set_ylim(0.18, 0.48)
    axes.set_xlabel("training steps")
    axes.set_ylabel(ylabel)
    axes.legend(frameon=False)


def draw_references(axes: "Axes", losses: np.ndarray, words: str = "") -> None:
    """The losses of gradient descent, dotted, and of GD++, dashed."""
    for value, name, style in zip(losses, ("GD", "GD++"), (":", "--"), strict=True):
        axes.axhline(float(value), color=TRAIN, linestyle=style, label=f"{words}{name}")
