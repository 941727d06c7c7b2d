"""Twelve trained blocks of attention and neurons: Figure 8."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from innerloop.algorithms import gradient_descent
from innerloop.models import SelfAttention
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most
from innerloop.papers.vonoswald2022 import implied as im
from innerloop.papers.vonoswald2022.scalar_descent import (
    ScalarDescent,
    Starts,
    alone,
    numbers,
    tuned,
)
from innerloop.papers.vonoswald2022.two_layers import TASKS, D, best, task
from innerloop.papers.vonoswald2022.watched import Watched, training_settings, watched
from innerloop.report.canvas import FAINT, INK, QUIET, TEST, TRAIN
from innerloop.tasks import von_oswald
from innerloop.training import Optimizer, TrainingConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTH, CLIP, FEW = 12, 10.0, 250
SEEDS = (0, 1, 2, 3, 4)
BLOCKS = SelfAttention(depth=DEPTH, heads=4, mlp=4, clip=CLIP)
EARLY = {"small": (0, 200, 400, 1000), "paper": (0, 1500, 5000, 15_000)}
SHARED = Starts(DEPTH, rate=20.0, curvature=2.0, tied=True, clip=CLIP)
OWN = Starts(DEPTH, rate=4.0, curvature=1.5, clip=CLIP)
STYLES = {"GD": QUIET, "GD++, shared": TEST, "GD++, own": INK, "teacher": FAINT}
"""What cosines are taken with, and their colours."""


def config(scale: Scale) -> TrainingConfig:
    """The released code's settings for deep stacks; or fewer contexts a step, ten queries each."""
    if scale == "paper":
        return TrainingConfig(steps=50_000, optimizer=Optimizer(5e-4))
    optimizer = Optimizer(4e-3, clip=1e-3, schedule="cosine", warmup=200)
    return TrainingConfig(
        steps=2000, batch=32, optimizer=optimizer, evaluate_every=200, evaluation_prompts=500
    )


def tuning(scale: Scale) -> TrainingConfig:
    """How long the numbers of GD++ are trained: the released code's budget, or little of it."""
    steps, batch = (30_000, 512) if scale == "paper" else (500, 64)
    optimizer = Optimizer(3e-3, clip=0.1, schedule="cosine")
    return TrainingConfig(
        steps=steps, batch=batch, optimizer=optimizer, evaluate_every=500, evaluation_prompts=1000
    )


@cache
def trained_blocks(scale: Scale) -> Watched:
    """Five stacks, from five seeds."""
    return watched(BLOCKS, task(scale, D), config(scale), seeds=SEEDS, early=EARLY[scale])


@cache
def control(scale: Scale, starts: Starts) -> ScalarDescent:
    """GD++ with clipped tokens, from one start."""
    return tuned(starts, task(scale, D), tuning(scale), seeds=SEEDS[:1])


def oracle() -> ScalarDescent:
    """GD++ with the shared numbers of least loss without clipping, clipped."""
    rate, curvature = (jnp.array([number]) for number in best(D, curved=True, steps=DEPTH))
    return ScalarDescent(jnp.log(rate), jnp.log(curvature), DEPTH, CLIP)


def loss_of(model: ScalarDescent, tasks: im.Drawn) -> float:
    """The mean loss of GD++."""
    return float(im.errors(im.predicted(alone(model), tasks), tasks).mean())


def aligned(
    stacks: list, directions: Mapping[str, Float[np.ndarray, "b d"]], tasks: im.Drawn
) -> Float[np.ndarray, "k c s"]:
    """Cosines with every direction, of stacks of models one after the other, all at once."""
    together = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *stacks)
    slopes = np.split(im.slopes(together, tasks), len(stacks))
    found = [[im.cosines(each, other) for other in directions.values()] for each in slopes]
    return np.array(found)


def twelve_blocks(scale: Scale) -> Outcome:
    """Losses and cosines beside GD and GD++, on the same tasks."""
    tasks = im.drawn(von_oswald(), TASKS, seed=65)
    few = jax.tree.map(lambda leaf: leaf[:FEW], tasks)
    shared, own = control(scale, SHARED), control(scale, OWN)
    plain = im.implied_by(gradient_descent(best(D, curved=False, steps=DEPTH)[0]), DEPTH, tasks)
    curved = im.slopes(alone(shared), few)[0], im.slopes(alone(own), few)[0]
    directions = dict(zip(STYLES, (plain[:FEW], *curved, few.teachers), strict=True))
    (found, seen), early = trained_blocks(scale), EARLY[scale]
    cosines = aligned([*(seen[step] for step in early), found.models], directions, few)
    each = im.errors(im.predicted(found.models, tasks), tasks)
    losses, gd = each.mean(1), float(im.half_errors(plain, tasks).mean())
    to_plain, to_shared, to_own, to_teacher = cosines[-1]
    checks = (
        at_most("largest loss over that of GD", losses.max() / gd, 1.0),
        at_least(
            "least lead of the cosine with GD++ of shared numbers over that with GD",
            (to_shared - to_plain).min(),
            0.0,
        ),
        at_least("the same, GD++ with numbers a block", (to_own - to_plain).min(), 0.0),
        at_most("largest cosine of untrained blocks, in size", np.abs(cosines[0]).max(), 0.3),
    )
    references = [gd, loss_of(shared, tasks), loss_of(own, tasks)]
    arrays = {
        "step": found.history.steps,
        "losses": found.history.held_out,
        "losses in the end": losses,
        "references": np.array(references),
        "steps of cosines": np.array([*early, config(scale).steps]),
        "cosines": cosines,
    }
    used = settings(scale, shared, own) | dict(zip(STYLES, references, strict=False))
    used |= {"GD++, shared, clipped as it is best without": loss_of(oracle(), tasks)}
    used |= im.over_seeds("loss over seeds", losses)
    used |= im.over_seeds("median task over seeds", np.median(each, axis=1))
    for place, name in enumerate(STYLES):
        used |= im.over_seeds(f"cosine with {name}", cosines[-1, place])
        used[f"cosine of {name} with the teacher"] = float(
            im.cosines(directions[name], directions["teacher"])
        )
    return Outcome(checks, arrays, used, SEEDS)


def settings(
    scale: Scale, shared: ScalarDescent, own: ScalarDescent
) -> dict[str, int | float | str]:
    """What the trainings used, and what numbers GD++ came to."""
    budget = tuning(scale)
    used = training_settings(scale, config(scale), TASKS) | {
        "clipped tokens": CLIP,
        "tasks for cosines": FEW,
        "steps for GD++": budget.steps,
        "batch for GD++": budget.batch,
    }
    return used | numbers(shared, D, ", shared") | numbers(own, D, ", own")


def draw_twelve_blocks(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Losses during training, and cosines on the way."""
    left, right = figure.subplots(1, 2)
    left.semilogy(arrays["step"], arrays["losses"], color=TEST, linewidth=1)
    last = np.full(len(SEEDS), arrays["step"][-1])
    left.plot(last, arrays["losses in the end"], "o", color=TEST, markersize=4)
    names = zip(arrays["references"], STYLES, (":", "--", "-."), strict=False)
    for value, name, style in names:
        left.axhline(float(value), color=TRAIN, linestyle=style, label=name)
    left.set_ylim(arrays["references"].min() / 50, None)
    left.set_xlabel("training steps")
    left.set_ylabel("loss, five seeds")
    left.legend(frameon=False, loc="lower left")
    steps, cosines = arrays["steps of cosines"][1:], arrays["cosines"][1:]
    for at, (name, colour) in enumerate(STYLES.items()):
        mean, spread = cosines[:, at].mean(1), cosines[:, at].std(1, ddof=1)
        right.errorbar(
            steps, mean, yerr=spread, fmt="o-", color=colour, label=f"with {name}",
            markersize=3, linewidth=4 if name == "teacher" else 1, zorder=1 + (name != "teacher"),
        )  # fmt: skip
    right.set_xscale("log")
    right.set_xticks(steps, [f"{step:g}" for step in steps])
    right.minorticks_off()
    right.set_xlabel("training steps")
    right.set_ylabel("cosine of sensitivities")
    right.legend(frameon=False, loc="lower right")


TWELVE_BLOCKS = (
    Claim(
        id="twelve-blocks",
        statement="Twelve blocks with MLPs and four heads resemble twelve steps of GD++.",
        place="Fig. 8",
        tolerance="the paper prints no number; no loss above that of GD with its best step size, "
        "and a larger cosine with GD++ than with GD, every seed. GD++ has clipped tokens as the "
        "blocks have: one η and one γ, and beside it numbers a block, both trained",
        measure=twelve_blocks,
        draw=draw_twelve_blocks,
        caption="The loss during training over those of GD, and of GD++ with shared numbers and "
        "with a block's own: lines on 500 contexts, where one that is clipped is a tenth, dots on "
        "10,000 tasks. Mean cosines with all three, and with the teacher, on the way.",
        least="small",
        trains=True,
        dtype="float32",
    ),
)
