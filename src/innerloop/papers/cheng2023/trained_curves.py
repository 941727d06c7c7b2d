"""Trained attention by the number of examples (Figure 1) and of layers (Figure 2)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from innerloop.papers.cheng2023.processes import process
from innerloop.papers.cheng2023.trained import (
    BUDGET,
    LAYERS,
    MATCHED,
    SEEDS,
    Scores,
    settings_of,
    trained,
)
from innerloop.papers.claims import Check, Outcome, Scale, at_least, at_most
from innerloop.report.canvas import INK, QUIET, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORES: tuple[Scores, ...] = ("linear", "relu", "exp", "softmax")
TITLES = {"linear": "linear", "relu": "ReLU", "exp": "exp", "softmax": "softmax"}
COLOURS = {"linear": QUIET, "relu": TRAIN, "exp": TEST, "softmax": INK}
LENGTHS = {
    "small": {"linear": (4, 8), "relu": (4, 14), "exp": (4, 14)},
    "paper": {data: (2, 4, 6, 8, 10, 12, 14) for data in ("linear", "relu", "exp")},
}
DEPTHS = {"small": (1, 3, 5), "paper": (1, 2, 3, 4, 5, 6, 7)}
DEEP_LENGTHS = {"small": (14,), "paper": (6, 14)}
CONTEXTS = 20_000

Curves = Mapping[str, Float[np.ndarray, "points seeds"]]


def bayes(data: str, n: int) -> float:
    """The logarithm of the Bayes estimator's mean loss; minus infinity where it has none."""
    losses = process(np.random.default_rng(29), data, n, CONTEXTS).bayes
    return float(np.log(losses.mean())) if losses.mean() > 1e-10 else -np.inf


def figure_1(scale: Scale) -> Outcome:
    """Three processes against four kinds of scores, three layers, by the number of examples."""
    arrays: dict[str, np.ndarray] = {}
    checks: list[Check] = []
    for data, lengths in LENGTHS[scale].items():
        curves = {
            scores: np.array([trained(data, n, (scores,), LAYERS, BUDGET[scale]) for n in lengths])
            for scores in SCORES
        }
        floor = np.array([bayes(data, n) for n in lengths])
        arrays |= {f"{data}, {scores}": curve for scores, curve in curves.items()}
        arrays |= {f"{data}, n": np.array(lengths), f"{data}, Bayes": floor}
        leads = lead(curves, data)
        if data == "linear":
            few = [k for k, n in enumerate(lengths) if n >= 4]
            at_eight = float(leads[lengths.index(8)])
            checks.append(at_least("linear data: least lead, n >= 4", float(leads[few].min()), 0.0))
            checks.append(at_least("linear data: lead for n = 8", at_eight, 1.0))
        else:
            room = -0.05 if data == "relu" else 0.0
            what = f"{TITLES[data]} data: lead of its scores for n = 14"
            checks.append(at_least(what, float(leads[lengths.index(14)]), room))
        over = min(float((curve.mean(1) - floor).min()) for curve in curves.values())
        checks.append(at_least(f"{TITLES[data]} data: least excess over Bayes", over, -0.02))
    return Outcome(tuple(checks), arrays, settings_of(BUDGET[scale]), seeds=SEEDS)


def lead(curves: Curves, data: str) -> Float[np.ndarray, " points"]:
    """How far the best of the other scores lies above those that match, in mean logarithms."""
    others = np.min([curve.mean(1) for name, curve in curves.items() if name != data], axis=0)
    return others - curves[data].mean(1)


def draw_figure_1(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Losses over the number of examples, a panel a process."""
    panels = figure.subplots(1, 3)
    for axes, data in zip(panels, ("linear", "relu", "exp"), strict=True):
        _draw(axes, arrays, data, arrays[f"{data}, n"], SCORES)
        style = {"linestyle": ":", "color": INK, "linewidth": 1, "label": "Bayes"}
        axes.plot(arrays[f"{data}, n"], arrays[f"{data}, Bayes"], **style)
        axes.set_title(f"{TITLES[data]} data", fontsize=9)
        axes.set_xticks(arrays[f"{data}, n"])
        axes.set_xlabel("examples n")
    panels[0].set_ylabel("logarithm of the loss")
    shown = panels[0].get_legend_handles_labels()
    figure.legend(*shown, loc="outside lower center", ncols=5, frameon=False, fontsize=8)


def figure_2(scale: Scale) -> Outcome:
    """Processes of exp and ReLU by the number of layers; at small scale their own scores alone."""
    depths, budget = DEPTHS[scale], BUDGET[scale]
    arrays: dict[str, np.ndarray] = {"depths": np.array(depths)}
    checks: list[Check] = []
    for data in ("exp", "relu"):
        for n in DEEP_LENGTHS[scale]:
            for scores in SCORES if scale == "paper" else (data,):
                losses = [trained(data, n, (scores,), depth, budget) for depth in depths]
                arrays[f"{data}, {n}, {scores}"] = np.array(losses)
            own, floor = arrays[f"{data}, {n}, {data}"], bayes(data, n)
            arrays[f"{data}, {n}, Bayes"] = np.array(floor)
            rise = float(np.diff(own.mean(1)).max())
            what = f"{TITLES[data]} data, n = {n}: largest rise from a depth to the next"
            checks.append(at_most(what, rise, 0.0))
            if data == "exp" and n == MATCHED["exp"]:
                gap = float(own.mean(1)[depths.index(5)] - floor)
                checks.append(at_most("exp data: 5 layers over Bayes", gap, 0.25))
    return Outcome(tuple(checks), arrays, settings_of(budget), seeds=SEEDS)


def draw_figure_2(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Losses over the number of layers, a panel a process."""
    panels = figure.subplots(1, 2, sharey=True)
    n = MATCHED["exp"]
    for axes, data in zip(panels, ("relu", "exp"), strict=True):
        kept = {key: array for key, array in arrays.items() if f", {n}, " in key}
        kept = {key.replace(f", {n}, ", ", "): array for key, array in kept.items()}
        shown = tuple(scores for scores in SCORES if f"{data}, {scores}" in kept)
        _draw(axes, kept, data, arrays["depths"], shown)
        floor = float(kept[f"{data}, Bayes"])
        axes.axhline(floor, color=INK, linestyle=":", linewidth=1, label="Bayes")
        axes.set_title(f"{TITLES[data]} data, n = {n}", fontsize=9)
        axes.set_xticks(arrays["depths"])
        axes.set_xlabel("layers")
        axes.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel("logarithm of the loss")


def _draw(axes, arrays: Curves, data: str, points: np.ndarray, names: tuple[str, ...]) -> None:
    """Means and standard deviations over seeds; thick where scores match the process."""
    for name in names:
        losses = arrays[f"{data}, {name}"]
        axes.errorbar(
            points,
            losses.mean(1),
            losses.std(1, ddof=1),
            fmt="o-",
            markersize=3,
            color=COLOURS[name],
            linewidth=2.4 if name == data else 1.2,
            elinewidth=1,
            label=f"{TITLES[name]} scores",
        )
