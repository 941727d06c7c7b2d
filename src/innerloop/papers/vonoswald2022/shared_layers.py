"""Three and ten trained layers that share their weights: Figures 7 and 9, right."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import jax
import numpy as np

from innerloop.algorithms import gradient_descent
from innerloop.models import SelfAttention
from innerloop.papers.claims import Check, Claim, Outcome, Scale, at_most
from innerloop.papers.vonoswald2022 import implied as im
from innerloop.papers.vonoswald2022.curves import draw_references, draw_seeds
from innerloop.papers.vonoswald2022.one_layer import draw_weights
from innerloop.papers.vonoswald2022.scalar_descent import ScalarDescent, Starts, alone, tuned
from innerloop.papers.vonoswald2022.two_layers import TASKS, best, task
from innerloop.papers.vonoswald2022.watched import training_settings
from innerloop.tasks import von_oswald
from innerloop.training import Optimizer, Trained, TrainingConfig, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, SEEDS, CLIP, FEW = 10, (0, 1, 2, 3, 4), 10.0, 2000
LAYERS = {
    3: SelfAttention(depth=3, tied=True),
    10: SelfAttention(depth=10, tied=True, clip=CLIP),
}
"""As in the released code, which clips tokens of more than three layers."""
BUDGETS = {3: (4000, 64, 6e-3, 200, 1e-3), 10: (2500, 48, 1e-2, 300, 0.1)}
"""By depth, below paper scale: steps, batch, largest rate, its rise in steps, largest gradient."""


def config(scale: Scale, depth: int) -> TrainingConfig:
    """The paper's settings; or fewer contexts a step with ten queries each, a rate that decays."""
    if scale == "paper":
        steps, rate = {3: (5000, 1e-3), 10: (15_000, 5e-4)}[depth]
        return TrainingConfig(steps=steps, optimizer=Optimizer(rate))
    steps, batch, rate, warmup, clip = BUDGETS[depth]
    optimizer = Optimizer(rate, clip=clip, schedule="cosine", warmup=warmup)
    return TrainingConfig(
        steps=steps, batch=batch, optimizer=optimizer, evaluate_every=100, evaluation_prompts=1000
    )


@cache
def trained_layers(scale: Scale, depth: int) -> Trained:
    """Five stacks, from five seeds."""
    return train(LAYERS[depth], task(scale, D), config(scale, depth), seeds=SEEDS)


@cache
def control(scale: Scale) -> ScalarDescent:
    """Ten steps of GD++ with one step size and one curvature, tokens clipped as the layers' are."""
    steps, batch = (1000, 512) if scale == "paper" else (500, 128)
    used = TrainingConfig(
        steps=steps, batch=batch, optimizer=Optimizer(2e-2, clip=0.1, schedule="cosine"),
        evaluate_every=steps, evaluation_prompts=4000,
    )  # fmt: skip
    starts = Starts(10, rate=10.0, curvature=1.0, tied=True, clip=CLIP)
    return tuned(starts, task(scale, D), used, seeds=(0,))


def settings(scale: Scale, depth: int) -> dict[str, int | float | str]:
    """What the training used."""
    clip = LAYERS[depth].clip
    return training_settings(scale, config(scale, depth), TASKS) | {
        "clipped tokens": "none" if clip is None else clip,
        "tasks for cosines": FEW,
    }


def weights(scale: Scale) -> Outcome:
    """The blocks of `W_KQ / beta` and `beta P W_V` of three layers, over seeds."""
    found = im.rescaled(im.read_products(trained_layers(scale, 3)), D)
    rate, curvature = (value / D for value in best(D, curved=True, steps=3))
    keyed, written = (np.diagonal(part, axis1=1, axis2=2) for part in found)
    off_keyed, off_written = (np.abs(part * (1 - np.eye(D + 1))).max((1, 2)) for part in found)
    gamma, last = -written[:, :D], written[:, D]
    checks = (
        at_most("W_KQ: largest distance of the covariates' diagonal from 1",
                np.abs(keyed[:, :D] - 1).max(), 0.04),
        at_most("W_KQ: largest last diagonal entry", np.abs(keyed[:, D]).max(), 0.02, said="0"),
        at_most("W_KQ: largest entry off the diagonal", off_keyed.max(), 0.05, said="0"),
        at_most("P W_V: largest distance of the last entry from -η / N of GD++, relative",
                np.abs(last / -rate - 1).max(), 0.05),
        at_most("P W_V: largest distance of the covariates' mean entry from -γ, relative",
                np.abs(gamma.mean(1) / curvature - 1).max(), 0.05),
        at_most("P W_V: largest spread of these entries, relative",
                (gamma.std(1) / gamma.mean(1)).max(), 0.05),
        at_most("P W_V: largest entry off the diagonal over the largest",
                (off_written / np.abs(found.pv).max((1, 2))).max(), 0.03, said="0"),
    )  # fmt: skip
    used = settings(scale, 3) | im.over_seeds("γ", gamma.mean(1)) | {"γ of GD++": curvature}
    used |= im.over_seeds("last entry of P W_V", last) | {"-η / N of GD++": -rate}
    return Outcome(checks, {"kq": found.kq[0], "pv": found.pv[0]}, used, SEEDS)


def ten_layers(scale: Scale) -> Outcome:
    """Losses beside GD and GD++, interpolation, and other scales of covariates and targets."""
    found, hand = trained_layers(scale, 10), control(scale)
    stack = alone(hand)
    tasks = im.drawn(von_oswald(), TASKS, seed=71)
    plain = im.implied_by(gradient_descent(best(D, curved=False, steps=10)[0]), 10, tasks)
    rate, curvature = (float(np.exp(a[0])) for a in (hand.log_rates, hand.log_curvatures))

    def losses(models, tasks: im.Drawn) -> np.ndarray:
        return im.errors(im.predicted(models, tasks), tasks).mean(1)

    middle = im.between(
        im.rescaled(im.read_products(found), D), im.constructed(D, rate / D, curvature / D)
    )
    own, by_hand = losses(found.models, tasks), losses(stack, tasks)
    mixed = losses(im.with_products(found.models, middle), tasks)
    gd = float(im.half_errors(plain, tasks).mean())
    checks = [
        at_most("largest loss", own.max(), 0.035),
        at_most("loss of the mean with GD++ over the larger of the two",
                (mixed / np.maximum(own, by_hand)).max(), 1.02),
    ]  # fmt: skip
    few, used = jax.tree.map(lambda leaf: leaf[:FEW], tasks), settings(scale, 10)
    sloping = im.slopes(found.models, few)
    used |= im.over_seeds("loss", own) | {"GD": gd, "GD++": float(by_hand[0])}
    used |= {"η of GD++": rate, "γ of GD++": curvature / D}
    for name, other in (("GD", plain[:FEW]), ("GD++", im.slopes(stack, few)[0])):
        used |= im.over_seeds(f"cosine with {name}", im.cosines(sloping, other))
    for which, alphas, low in (("inputs", (0.5, 0.75, 1.0, 1.25), 0.8),
                               ("targets", (1.0, 2.0, 3.0), 0.9)):  # fmt: skip
        scaled = [im.scaled(tasks, **{which: alpha}) for alpha in alphas]
        ratios = np.array([losses(found.models, one) / losses(stack, one) for one in scaled])
        for what, value in (("least", ratios.min()), ("largest", ratios.max())):
            words = f"{what} loss over that of GD++, {which} times α ≤ {alphas[-1]:g}"
            checks.append(Check(words, float(value), low, 1.25))
        each = (f"{a:g}: {r.mean():.4g}" for a, r in zip(alphas, ratios, strict=True))
        used[f"over GD++, {which}"] = "; ".join(each)
    arrays = {
        "step": found.history.steps,
        "losses": found.history.held_out,
        "references": np.array([gd, by_hand[0]]),
    }
    return Outcome(tuple(checks), arrays, used, SEEDS)


def draw_ten_layers(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """A curve a seed, over the losses of GD and GD++."""
    axes = figure.subplots()
    draw_seeds(axes, arrays["step"], arrays["losses"], "ten shared layers, five seeds")
    draw_references(axes, arrays["references"], "ten steps of ")
    axes.set_ylim(0.0, 0.45)
    axes.set_xlabel("training steps")
    axes.set_ylabel("loss")
    axes.legend(frameon=False)


SHARED_LAYERS = (
    Claim(
        id="ten-layers",
        statement="Ten shared layers behave like two: they come to GD++ with one step size and one "
        "curvature, and interpolation works.",
        place="Fig. 7",
        tolerance="a loss of 0.035; ratios of losses to GD++ from 0.8 to 1.25 for covariates up to "
        "α = 1.25, and from 0.9 to 1.25 for targets up to α = 3; the mean with GD++ within 2 % of "
        "the larger loss; every seed. GD++ is clipped as the layers are",
        shortfall="They do behave like two: a cosine with GD++ of 0.998, a loss within a tenth of "
        "its own, and interpolation. But that loss is above the 0.035 asked for, which we took "
        "from GD++ without clipping, 0.030. With tokens clipped to ±10, as in the paper, the best "
        "step size and curvature leave 0.050. Trained without clipping seeds diverge; with ±100 "
        "two seeds came to 0.049 in the same steps, still falling. Targets three times as large "
        "are just outside 1.25 for one seed, as layers are not yet at the optimum.",
        measure=ten_layers,
        draw=draw_ten_layers,
        caption="The loss during training over ten steps of GD and of GD++ with clipped tokens.",
        least="small",
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="trained-weights-three-layers",
        statement="The matrices of three shared layers show the blocks of GD++.",
        place="Fig. 9, right",
        tolerance="0.04 on the diagonal of W_KQ, 0.05 off it; the step size, the curvature and the "
        "spread of its entries within 5 %; 0.03 of the largest entry off the diagonal of P W_V; "
        "every seed",
        measure=weights,
        draw=draw_weights,
        caption="The two matrices of three shared layers, first seed, rescaled as in A.3.",
        least="small",
        trains=True,
        dtype="float32",
    ),
)
