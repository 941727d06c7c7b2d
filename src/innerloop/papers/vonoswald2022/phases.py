"""Figure 15: plateaus, and how soon they end with one head and with two."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from innerloop.models import SelfAttention
from innerloop.papers.claims import Claim, Outcome, Scale, at_most
from innerloop.report.canvas import TEST, TRAIN
from innerloop.tasks import von_oswald
from innerloop.training import History, Optimizer, TrainingConfig, train
from innerloop.training.config import Loss

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS, FALLEN, STEPS = tuple(range(10)), 0.25, 6000
BATCH = {"smoke": 32, "small": 256, "paper": 2048}


def falls(history: History) -> Float[np.ndarray, " s"]:
    """By seed, the first step evaluated with a loss below `FALLEN`; beyond the last if never."""
    below = history.held_out < FALLEN
    first = history.steps[below.argmax(0)].astype(float)
    return np.where(below.any(0), first, STEPS + 1.0)


def plateaus(scale: Scale) -> Outcome:
    """Ten seeds each at the paper's rate, on drawn tasks; and with exact gradients beside them."""
    arrays, found = {}, {}
    runs: tuple[tuple[int, Loss], ...] = ((1, "queries"), (2, "queries"), (1, "population"))
    for heads, loss in runs:
        used = TrainingConfig(
            steps=STEPS, batch=BATCH[scale], loss=loss, optimizer=Optimizer(clip=1e-3),
            evaluate_every=25, evaluation_prompts=1000, target=0.9 * FALLEN,
        )  # fmt: skip
        history = train(SelfAttention(heads=heads), von_oswald(), used, seeds=SEEDS).history
        name = f"{heads}" if loss == "queries" else "exact"
        arrays[f"step {name}"], arrays[f"losses {name}"] = history.steps, history.held_out
        found[name] = falls(history)
    one, two, exact = found["1"], found["2"], found["exact"]
    ranges = [float(np.subtract(*np.percentile(steps, (75, 25)))) for steps in (one, two)]
    checks = (
        at_most("median steps to a loss of 0.25, two heads over one",
                float(np.median(two) / np.median(one)), 0.5),
        at_most("their interquartile range, two heads less one", ranges[1] - ranges[0], 0.0),
        at_most("steps of the slowest seed, two heads over one", two.max() / one.max(), 0.5),
        at_most("median steps with exact gradients, one head over drawn tasks",
                float(np.median(exact) / np.median(one)), 1.0),
    )  # fmt: skip
    settings = {"batch": BATCH[scale], "learning rate": 1e-3, "steps at most": STEPS}
    settings |= {f"steps to fall, {k}": " ".join(f"{s:g}" for s in v) for k, v in found.items()}
    return Outcome(checks, arrays, settings | {"precision": "float32"}, SEEDS)


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
        tolerance="half the median steps and those of the slowest seed, an interquartile range "
        "that is no larger; the paper prints no numbers",
        shortfall="The tail is as the figure has it: with one head some seeds stay on the plateau "
        "for thousands of steps, with two none does, and each falls sooner than its twin with one "
        "head. The median, though, is reached in two thirds of the steps and not in half; the half "
        "is our threshold. Plateaus are made by the noise of the gradient: with exact gradients "
        "all seeds fall within 25 steps of one another.",
        measure=plateaus,
        draw=draw_plateaus,
        caption="Ten seeds each at the paper's rate, each until its loss is below 0.225.",
        least="small",
        trains=True,
        dtype="float32",
    ),
)
