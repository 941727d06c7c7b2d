"""Trained attention on Gaussian processes: one head and two (Figure 3).

The mean over targets is taken in closed form, so a step needs few contexts; all matrices of all
layers are trained from small random ones. Covariates lie on the unit sphere, and a token that grows
beyond twice that is scaled back: without a bound five layers of exp scores leave the floats within
the first two hundred steps.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from innerloop.models import KernelHeads
from innerloop.papers.claims import Outcome, Scale, at_least, at_most
from innerloop.report.canvas import QUIET, REGISTER, TEST, TRAIN
from innerloop.tasks import Covariance, GaussianProcess
from innerloop.training import Optimizer, TrainingConfig, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Scores = Literal["linear", "relu", "exp", "softmax"]

D, LAYERS = 5, 3
SEEDS = (0, 1, 2, 3, 4)
CLAMP = 2.0
DATA = {
    "linear": (Covariance("linear"),),
    "relu": (Covariance("relu"),),
    "exp": (Covariance("exp"),),
    "sum": (Covariance("exp", last=2), Covariance("linear", first=2)),
}
RATES = {"linear": 0.03, "relu": 0.03, "exp": 0.05, "softmax": 0.06}
RATE_OF_TWO_HEADS = 0.03
MATCHED = {"linear": 8, "relu": 14, "exp": 14}


class Budget(NamedTuple):
    """How many steps, and how many contexts in each."""

    steps: int
    batch: int


BUDGET = {"small": Budget(400, 128), "paper": Budget(40_000, 30_000)}
LONGER = {"small": Budget(1_000, 128), "paper": Budget(40_000, 30_000)}
EVALUATED = 4_096


@cache
def trained(
    data: str, n: int, heads: tuple[Scores, ...], layers: int, budget: Budget
) -> Float[np.ndarray, " seeds"]:
    """Logarithms of the losses of trained models on fresh contexts, a seed each."""
    rate = RATES[heads[0]] if len(heads) == 1 else RATE_OF_TWO_HEADS
    config = TrainingConfig(
        steps=budget.steps,
        batch=budget.batch,
        loss="expected",
        optimizer=Optimizer(rate, schedule="cosine", b2=0.95, clip=0.5),
        evaluate_every=budget.steps // 2,
        evaluation_prompts=EVALUATED,
    )
    task = GaussianProcess(n=n, d=D, kernel=DATA[data])
    architecture = KernelHeads(layers, heads, init_scale=0.05, clamp=CLAMP)
    run = train(architecture, task, config, seeds=SEEDS)
    return np.log(2 * run.held_out)


def figure_3(scale: Scale) -> Outcome:
    """A linear head, an exp head, and both, on the sum of their kernels and on each alone."""
    budget, longer = BUDGET[scale], LONGER[scale]
    both: tuple[Scores, ...] = ("exp", "linear")
    heads: dict[str, tuple[Scores, ...]] = {"linear": ("linear",), "exp": ("exp",), "both": both}
    found = {
        f"sum, {name}": trained("sum", 14, kinds, LAYERS, longer) for name, kinds in heads.items()
    }
    checks = [
        at_least(
            "sum of kernels, 3 layers: both heads below the exp head",
            float(found["sum, exp"].mean() - found["sum, both"].mean()),
            0.8,
        ),
        at_least(
            "sum of kernels, 3 layers: both heads below the linear head",
            float(found["sum, linear"].mean() - found["sum, both"].mean()),
            0.8,
        ),
    ]
    alone: tuple[Scores, ...] = ("linear", "exp")
    for data in alone:
        for layers, room in ((1, 0.05), (LAYERS, 0.5)):
            one = trained(data, MATCHED[data], (data,), layers, budget)
            two = trained(data, MATCHED[data], both, layers, budget)
            what = f"{data} data, {layers} layers: both heads over the matched"
            checks.append(at_most(what, float(two.mean() - one.mean()), room))
            found |= {f"{data}, {layers}, matched": one, f"{data}, {layers}, both": two}
    settings = {**settings_of(budget), "steps on the sum": longer.steps}
    return Outcome(tuple(checks), found, settings, seeds=SEEDS)


def settings_of(budget: Budget) -> dict[str, int | float | str]:
    """What decides a run."""
    return {"d": D, "steps": budget.steps, "batch": budget.batch, "clamp": CLAMP}


COLOURS = {"linear": QUIET, "relu": TRAIN, "exp": TEST, "both": REGISTER}


def draw_figure_3(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Losses of one head and of two, a group a process and depth."""
    axes = figure.subplots()
    groups = {
        "linear, 1": ("matched", "both"),
        "linear, 3": ("matched", "both"),
        "exp, 1": ("matched", "both"),
        "exp, 3": ("matched", "both"),
        "sum": ("linear", "exp", "both"),
    }
    for place, (group, heads) in enumerate(groups.items()):
        for name in heads:
            kind = group.split(",")[0] if name == "matched" else name
            losses = arrays[f"{group}, {name}"]
            shift = {"linear": -0.15, "exp": 0.0, "both": 0.15}[kind]
            axes.plot(place + shift + 0 * losses, losses, "o", markersize=5, color=COLOURS[kind])
    for kind, label in (("linear", "linear head"), ("exp", "exp head"), ("both", "both heads")):
        axes.plot([], [], "o", color=COLOURS[kind], label=label)
    names = [f"{group}\nlayer{'s' * (group[-1] != '1')}" for group in list(groups)[:-1]]
    axes.set_xticks(range(len(groups)), [*names, "sum, 3\nlayers"])
    axes.set_xlabel("data, depth")
    axes.set_ylabel("logarithm of the loss")
    axes.legend(frameon=False)
