"""Two trained layers with LayerNorm between them: Figure 14."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import jax
import numpy as np

from innerloop.algorithms import gd_plus_plus, gradient_descent
from innerloop.models import SelfAttention
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most
from innerloop.papers.vonoswald2022 import implied as im
from innerloop.papers.vonoswald2022.curves import draw_references, draw_seeds
from innerloop.papers.vonoswald2022.two_layers import TASKS, best, task
from innerloop.papers.vonoswald2022.watched import training_settings
from innerloop.tasks import von_oswald
from innerloop.training import Optimizer, Trained, TrainingConfig, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, STEPS, FEW = 10, 2, 1000
SEEDS = (0, 1, 2, 3, 4)


def config(scale: Scale) -> TrainingConfig:
    """The paper's settings; or fewer contexts a step with ten queries each, a rate that decays."""
    if scale == "paper":
        return TrainingConfig(steps=15_000, optimizer=Optimizer(clip=1e-3))
    optimizer = Optimizer(5e-3, clip=1e-3, schedule="cosine")
    return TrainingConfig(
        steps=3000, batch=128, optimizer=optimizer, evaluate_every=100, evaluation_prompts=1000
    )


@cache
def trained_layers(scale: Scale) -> Trained:
    """Five pairs of layers, from five seeds."""
    layers = SelfAttention(depth=STEPS, layer_norm="between")
    return train(layers, task(scale, D), config(scale), seeds=SEEDS)


def two_normalised(scale: Scale) -> Outcome:
    """Losses and cosines beside two steps of GD and GD++, and losses on larger covariates."""
    found, tasks = trained_layers(scale), im.drawn(von_oswald(), TASKS, seed=53)
    larger, few = im.scaled(tasks, inputs=2.0), jax.tree.map(lambda leaf: leaf[:FEW], tasks)
    layers = im.errors(im.predicted(found.models, tasks), tasks)
    outside = im.errors(im.predicted(found.models, larger), larger).mean(1)
    sloping, place = im.slopes(found.models, few), int(layers.mean(1).argmin())
    used, references, checks = training_settings(scale, config(scale), TASKS), [], []
    used |= im.over_seeds("loss", layers.mean(1))
    learners = {
        "GD": gradient_descent(best(D, curved=False)[0]),
        "GD++": gd_plus_plus(*best(D, curved=True)),
    }
    for name, learner in learners.items():
        steps = im.half_errors(im.implied_by(learner, STEPS, tasks), tasks)
        gap = layers[place] - steps
        error = gap.std() / np.sqrt(len(gap))
        what = f"gap of the best seed to {name} in paired standard errors"
        checks.append(at_least(what, gap.mean() / error, 3.0))
        beyond = im.half_errors(im.implied_by(learner, STEPS, larger), larger).mean()
        used |= im.over_seeds(f"over {name}, covariates times 2", outside / beyond)
        if name == "GD":
            what = "largest loss over that of GD on covariates twice as large"
            checks.append(at_most(what, (outside / beyond).max(), 1.0))
        cosines = im.cosines(sloping, im.implied_by(learner, STEPS, few))
        used |= im.over_seeds(f"cosine with {name}", cosines) | {name: float(steps.mean())}
        references.append(im.held_out_loss(learner, STEPS, task(scale, D), config(scale)))
    arrays = {
        "step": found.history.steps,
        "losses": found.history.held_out,
        "references": np.array(references),
    }
    return Outcome(tuple(checks), arrays, used, SEEDS)


def draw_two_normalised(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """A curve a seed, over the losses of GD and GD++."""
    axes = figure.subplots()
    draw_seeds(axes, arrays["step"], arrays["losses"], "LayerNorm between two layers, five seeds")
    draw_references(axes, arrays["references"], "two steps of ")
    axes.set_ylim(0.08, 0.45)
    axes.set_xlabel("training steps")
    axes.set_ylabel("loss")
    axes.legend(frameon=False)


NORMALISED_LAYERS = (
    Claim(
        id="layer-norm-two-layers",
        statement="With LayerNorm between them two layers stay above the losses of GD and GD++, "
        "and lose less than GD on larger covariates.",
        place="Fig. 14, two layers",
        tolerance="three paired standard errors above both, the best seed; below GD at twice the "
        "scale of covariates, every seed",
        shortfall="The layers stay above GD++, and on larger covariates far below GD, but at the "
        "scale of training they come below two steps of GD with one step size: all seeds are there "
        "after 1500 steps, and end nearer to GD++. With LayerNorm before both layers, shared or "
        "not, two seeds stay at 0.19 as the figure has it, above the 0.16 of GD; the released code "
        "has it before the second only, unless layers are shared.",
        measure=two_normalised,
        draw=draw_two_normalised,
        caption="The loss of two layers of linear attention, the second behind LayerNorm, during "
        "training, over two steps of GD and GD++ with their best shared numbers.",
        least="small",
        trains=True,
        dtype="float32",
    ),
)
