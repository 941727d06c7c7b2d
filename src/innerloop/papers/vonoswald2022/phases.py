"""Figure 15: plateaus, and how soon they end with one head and with two."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from innerloop.models import SelfAttention
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most
from innerloop.report.canvas import TEST, TRAIN
from innerloop.tasks import von_oswald
from innerloop.training import History, Optimizer, TrainingConfig, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS, FALLEN, STEPS = tuple(range(10)), 0.25, 6000


def falls(history: History) -> Float[np.ndarray, " s"]:
    """By seed, the first step evaluated with a loss below `FALLEN`; beyond the last if never."""
    below = history.held_out < FALLEN
    first = history.steps[below.argmax(0)].astype(float)
    return np.where(below.any(0), first, STEPS + 1.0)


def plateaus(scale: Scale) -> Outcome:
    """Ten seeds each, at the paper's rate; exact gradients but at paper scale."""
    loss = "queries" if scale == "paper" else "population"
    used = TrainingConfig(
        steps=STEPS, loss=loss, optimizer=Optimizer(clip=1e-3), evaluate_every=20, target=0.21
    )
    arrays, found = {}, {}
    for heads in (1, 2):
        history = train(SelfAttention(heads=heads), von_oswald(), used, seeds=SEEDS).history
        arrays[f"step {heads}"], arrays[f"losses {heads}"] = history.steps, history.held_out
        found[heads] = falls(history)
    one, two = found[1], found[2]
    ranges = {k: float(np.subtract(*np.percentile(v, (75, 25)))) for k, v in found.items()}
    crossing = [arrays[f"losses {h}"] for h in (1, 2)]
    quick = max(float(np.median(((c > 0.23) & (c < 0.37)).sum(0))) * 20 for c in crossing)
    checks = (
        at_most("median steps to a loss of 0.25, two heads over one",
                float(np.median(two) / np.median(one)), 0.5),
        at_most("interquartile range of the steps, two heads over one", ranges[2] / ranges[1], 1.0),
        at_most("seeds of either that never fall", float((np.r_[one, two] > STEPS).sum()), 0.0),
        at_least("median steps before the fall of one head over those between 0.37 and 0.23",
                 float(np.median(one)) / max(quick, 20.0), 2.0),
    )  # fmt: skip
    settings = {
        "loss": "exact, over all tasks" if loss == "population" else "on drawn tasks",
        "learning rate": used.optimizer.learning_rate,
        "steps at most": STEPS,
        "steps to fall, one head": " ".join(f"{v:g}" for v in one),
        "steps to fall, two heads": " ".join(f"{v:g}" for v in two),
        "precision": "float32",
    }
    return Outcome(checks, arrays, settings, SEEDS)


def draw_plateaus(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """A curve a seed."""
    left, right = figure.subplots(1, 2, sharey=True, sharex=True)
    for axes, heads, colour, title in (
        (left, 1, TEST, "one head"), (right, 2, TRAIN, "two heads"),
    ):  # fmt: skip
        axes.plot(arrays[f"step {heads}"], arrays[f"losses {heads}"], color=colour, linewidth=1)
        axes.set_title(title)
        axes.set_xlabel("training steps")
    left.set_ylabel("loss, ten seeds")


PHASES = (
    Claim(
        id="phase-transitions",
        statement="Training stays on a plateau and falls at once; two heads fall sooner than one, "
        "and more alike.",
        place="Fig. 15, left and centre",
        tolerance="half the median steps, a smaller interquartile range; the plateau twice as long "
        "as the fall",
        measure=plateaus,
        draw=draw_plateaus,
        caption="Ten seeds each at the paper's rate, each until its loss is below 0.21. Below "
        "paper scale gradients are exact.",
        least="small",
        trains=True,
        dtype="float32",
    ),
)
