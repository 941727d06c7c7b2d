"""Figure 6: trained layers on covariates and tasks of other scales and laws."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Float

from innerloop.algorithms import gd_plus_plus, gradient_descent
from innerloop.learners import Learner
from innerloop.models import InContextTransformer
from innerloop.papers.claims import Check, Claim, Outcome, Scale
from innerloop.papers.vonoswald2022 import implied as im
from innerloop.papers.vonoswald2022 import one_layer, two_layers
from innerloop.papers.vonoswald2022.one_layer import D
from innerloop.report.canvas import TEST, TRAIN
from innerloop.tasks import Covariates, LinearRegression, von_oswald

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INPUTS, TARGETS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0), (1.0, 2.0, 3.0, 4.0, 5.0)
LAWS = ("normal", "exponential", "laplace")
TASKS = 9000
COLUMNS = {
    "covariates times α": INPUTS,
    "targets times α": TARGETS,
    "other laws, context of norm α": TARGETS,
    "other laws, targets times α": TARGETS,
}


def mixed(seed: int) -> im.Drawn:
    """A third of the tasks from each law, with contexts of unit Frobenius norm, as the code has."""
    parts = []
    for place, family in enumerate(LAWS):
        task = LinearRegression(covariates=Covariates(family, unit_context=True))
        parts.append(im.drawn(task, TASKS // 3, seed=seed + place))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def ratios(
    models: InContextTransformer, learner: Learner, steps: int
) -> dict[str, Float[np.ndarray, "alphas s"]]:
    """The loss of every seed over that of the algorithm, on the same tasks, column by column."""
    plain, others = im.drawn(von_oswald(), TASKS, seed=41), mixed(42)
    found = {}
    for name, alphas in COLUMNS.items():
        rows = []
        for alpha in alphas:
            which = {"targets" if "targets" in name else "inputs": alpha}
            tasks = im.scaled(others if "laws" in name else plain, **which)
            layers = im.half_errors(im.implied(models, tasks), tasks).mean(1)
            expected = im.half_errors(im.implied_by(learner, steps, tasks), tasks).mean()
            rows.append(layers / expected)
        found[name] = np.array(rows)
    return found


def _outcome(
    found: dict[str, np.ndarray],
    bounds: dict[str, tuple[float, float, float]],
    used: dict[str, int | float | str],
) -> Outcome:
    """Checks on the columns with bounds: up to which α, from where to where."""
    checks = []
    for name, (last, low, high) in bounds.items():
        seen = found[name][np.array(COLUMNS[name]) <= last]
        for what, value in (("least", seen.min()), ("largest", seen.max())):
            words = f"{what} loss over the algorithm's, {name}, α ≤ {last:g}"
            checks.append(Check(words, float(value), low, high))
    for name, table in found.items():
        each = (f"{a:g}: {r.mean():.4g} +- {r.std(ddof=1):.1g}"
                for a, r in zip(COLUMNS[name], table, strict=True))  # fmt: skip
        used[name] = "; ".join(each)
    return Outcome(tuple(checks), found, used | {"tasks": TASKS}, one_layer.SEEDS)


def one(scale: Scale) -> Outcome:
    """One layer over one gradient step."""
    models = one_layer.trained_layer(scale).models
    found = ratios(models, gradient_descent(one_layer.best_step()[0]), 1)
    inputs, targets, *laws = COLUMNS
    bounds = {inputs: (2.0, 0.9, 1.15), targets: (5.0, 0.95, 1.1)}
    bounds |= {name: (5.0, 0.9, 1.15) for name in laws}
    return _outcome(found, bounds, one_layer.settings(scale))


def two(scale: Scale) -> Outcome:
    """Two shared layers over two steps of GD++."""
    models = two_layers.trained_layers(scale).trained.models
    found = ratios(models, gd_plus_plus(*two_layers.best(D, curved=True)), two_layers.STEPS)
    inputs, targets, *_ = COLUMNS
    bounds = {inputs: (1.25, 0.8, 1.25), targets: (3.0, 0.9, 1.25)}
    return _outcome(found, bounds, two_layers.settings(scale, D))


def draw_ratios(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Loss over the algorithm's, a panel a column."""
    for axes, (name, alphas) in zip(figure.subplots(2, 2).flat, COLUMNS.items(), strict=True):
        axes.axhline(1.0, color=TRAIN, linestyle="--")
        axes.plot(alphas, arrays[name], "o-", color=TEST, markersize=3, linewidth=1)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0.9), max(high, 1.1))
        axes.set_title(name)
        axes.set_xlabel("α")
    figure.supylabel("loss over the algorithm's, five seeds")


_CAPTION = "The loss of trained layers over that of their algorithm, on the same tasks, five seeds."
TRAINED_SHIFTS = (
    Claim(
        id="trained-shift",
        statement="On covariates and tasks of other scales and laws a trained layer does what the "
        "gradient step does.",
        place="Fig. 6a, A.2",
        tolerance="ratios of losses from 0.9 to 1.15, for targets from 0.95 to 1.1, every seed",
        measure=one,
        draw=draw_ratios,
        caption=_CAPTION,
        least="small",
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="trained-shift-two-layers",
        statement="Two shared layers keep to GD++ on covariates and tasks of other scales.",
        place="Fig. 6b, A.2",
        tolerance="ratios of losses from 0.8 to 1.25 for covariates up to α = 1.25, and from 0.9 "
        "to 1.25 for targets up to α = 3, every seed; beyond they are only reported",
        measure=two,
        draw=draw_ratios,
        caption=_CAPTION,
        least="small",
        trains=True,
        dtype="float32",
    ),
)
