"""Five trained layers of their own, tokens clipped: Figures 3b and 6c."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from innerloop.algorithms import gradient_descent
from innerloop.constructions import best_schedule, spectra, spectral_loss
from innerloop.models import InContextTransformer, SelfAttention
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most
from innerloop.papers.vonoswald2022 import implied as im
from innerloop.papers.vonoswald2022.curves import draw_references
from innerloop.papers.vonoswald2022.scalar_descent import (
    ScalarDescent,
    Starts,
    alone,
    numbers,
    tuned,
)
from innerloop.papers.vonoswald2022.two_layers import SEARCHED, TASKS, best, task
from innerloop.papers.vonoswald2022.watched import Watched, training_settings, watched
from innerloop.report.canvas import QUIET, TEST, TRAIN
from innerloop.tasks import von_oswald
from innerloop.training import Optimizer, TrainingConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, STEPS, CLIP, VARIANCE, FEW = 10, 5, 10.0, 1 / 12, 2000
SEEDS = (0, 1, 2, 3, 4)
LAYERS = SelfAttention(depth=STEPS, clip=CLIP)
EARLY = {"small": (200, 300, 400), "paper": (1500, 2500, 4000)}
INPUTS, TARGETS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0), (1.0, 2.0, 3.0, 4.0, 5.0)
COLUMNS = {"covariates times α": INPUTS, "targets times α": TARGETS}


def config(scale: Scale) -> TrainingConfig:
    """The paper's settings; or fewer contexts a step with ten queries each, a rate that decays."""
    if scale == "paper":
        return TrainingConfig(steps=50_000, optimizer=Optimizer(5e-4))
    optimizer = Optimizer(1e-2, clip=1e-3, schedule="cosine", warmup=400)
    return TrainingConfig(
        steps=4000, batch=64, optimizer=optimizer, evaluate_every=100, evaluation_prompts=1000
    )


def tuning(scale: Scale) -> TrainingConfig:
    """How long the numbers of GD++ are trained: the released code's budget, or a tenth of it."""
    steps, batch = (30_000, 512) if scale == "paper" else (3000, 64)
    optimizer = Optimizer(3e-3, clip=0.1, schedule="cosine")
    return TrainingConfig(
        steps=steps, batch=batch, optimizer=optimizer, evaluate_every=1000, evaluation_prompts=4000
    )


@cache
def trained_layers(scale: Scale) -> Watched:
    """Five stacks, from five seeds."""
    return watched(LAYERS, task(scale, D), config(scale), seeds=SEEDS, early=EARLY[scale])


@cache
def control(scale: Scale) -> ScalarDescent:
    """GD++ with a step size and a curvature a layer, the best of several starts."""
    starts = Starts(STEPS, rate=4.0, curvature=1.5, clip=CLIP)
    return tuned(starts, task(scale, D), tuning(scale), seeds=SEEDS)


def free_descent() -> float:
    """The least loss of gradient descent with a step size a layer, on contexts not searched."""
    rng = np.random.default_rng(7)
    searched, held = (spectra(rng.uniform(-0.5, 0.5, (SEARCHED, D, D))) for _ in range(2))
    found = best_schedule(searched, STEPS, tied=False)
    return VARIANCE / 2 * spectral_loss(held, found.learning_rates, found.curvatures)


def settings(scale: Scale) -> dict[str, int | float | str]:
    """What the trainings used."""
    budget = tuning(scale)
    return (
        training_settings(scale, config(scale), TASKS)
        | {
            "clipped tokens": CLIP,
            "tasks for cosines": FEW,
            "steps for GD++": budget.steps,
            "batch for GD++": budget.batch,
            "starts for GD++": len(SEEDS),
        }
        | numbers(control(scale), D)
    )


def five_layers(scale: Scale) -> Outcome:
    """Losses and cosines beside GD and GD++, on the same tasks."""
    tasks = im.drawn(von_oswald(), TASKS, seed=61)
    few = jax.tree.map(lambda leaf: leaf[:FEW], tasks)
    plain = im.implied_by(gradient_descent(best(D, curved=False, steps=STEPS)[0]), STEPS, tasks)
    (found, seen), hand = trained_layers(scale), alone(control(scale))
    curved = im.slopes(hand, few)[0]
    losses = im.errors(im.predicted(found.models, tasks), tasks).mean(1)
    gd = float(im.half_errors(plain, tasks).mean())
    gdpp = float(im.errors(im.predicted(hand, tasks), tasks).mean())

    def aligned(models: InContextTransformer) -> list[Float[np.ndarray, " s"]]:
        sloping = im.slopes(models, few)
        return [im.cosines(sloping, other) for other in (plain[:FEW], curved)]

    early = EARLY[scale]
    way = [aligned(seen[k]) for k in early]
    way = np.array([*way, aligned(found.models)])
    to_plain, to_curved = way[-1]
    ratios = losses / gdpp
    checks = (
        at_most("largest loss", losses.max(), 0.03, said="close to 0"),
        at_most("largest loss over that of GD", losses.max() / gd, 0.3),
        at_least("least loss over that of GD++", ratios.min(), 0.5, said="1"),
        at_most("largest loss over that of GD++", ratios.max(), 1.5, said="1"),
        at_least("least cosine with GD++", to_curved.min(), 0.96, said="1"),
        at_least("its least lead over the cosine with GD", (to_curved - to_plain).min(), 0.05),
        at_least("least peak of the cosine with GD on the way", way[:, 0].max(0).min(), 0.98),
        at_most("largest cosine with GD in the end", to_plain.max(), 0.92),
    )
    arrays = {
        "step": found.history.steps,
        "losses": found.history.held_out,
        "references": np.array([gd, gdpp]),
        "steps of cosines": np.array([*early, config(scale).steps]),
        "cosines": way,
    }
    used = settings(scale) | im.over_seeds("loss over seeds", losses)
    used |= {"GD": gd, "GD++": gdpp, "GD, a step size a layer": free_descent()}
    used |= im.over_seeds("cosine with GD", to_plain) | im.over_seeds("cosine with GD++", to_curved)
    return Outcome(checks, arrays, used, SEEDS)


def draw_five_layers(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Losses during training, and cosines on the way."""
    left, right = figure.subplots(1, 2)
    left.semilogy(arrays["step"], arrays["losses"], color=TEST, linewidth=1)
    draw_references(left, arrays["references"])
    left.set_ylim(arrays["references"].min() / 1.5, 0.6)
    left.set_xlabel("training steps")
    left.set_ylabel("loss, five seeds")
    left.legend(frameon=False)
    steps = arrays["steps of cosines"]
    for place, (name, colour) in enumerate((("GD", QUIET), ("GD++", TEST))):
        lines = right.semilogx(
            steps, arrays["cosines"][:, place], "o-", color=colour, markersize=3, linewidth=1
        )
        lines[0].set_label(f"with {name}")
    right.set_xticks(steps, [f"{step:g}" for step in steps], rotation=45)
    right.minorticks_off()
    right.set_ylim(None, 1.005)
    right.set_xlabel("training steps")
    right.set_ylabel("cosine of sensitivities")
    right.legend(frameon=False)


def shifted(scale: Scale) -> Outcome:
    """Losses at other scales, column by column; GD and GD++ are clipped as the layers are."""
    rate, tasks = best(D, curved=False, steps=STEPS)[0], im.drawn(von_oswald(), TASKS, seed=62)
    descent = ScalarDescent(jnp.log(jnp.array([rate])), jnp.full(1, -jnp.inf), STEPS, CLIP)
    learners = {
        "layers": trained_layers(scale).trained.models,
        "GD": alone(descent),
        "GD++": alone(control(scale)),
    }
    arrays, used = {}, settings(scale)
    for column, alphas in COLUMNS.items():
        which = "targets" if "targets" in column else "inputs"
        for name, models in learners.items():
            rows = []
            for alpha in alphas:
                other = im.scaled(tasks, **{which: alpha})
                rows.append(im.errors(im.predicted(models, other), other).mean(1))
            arrays[f"{name}, {column}"] = np.array(rows)
            each = (f"{a:g}: {r.mean():.4g}" for a, r in zip(alphas, rows, strict=True))
            used[f"{name}, {column}"] = "; ".join(each)
    inputs, _ = COLUMNS
    over = arrays[f"layers, {inputs}"] / arrays[f"GD, {inputs}"]
    largest = over[np.array(INPUTS) <= 1].max()
    checks = (at_most(f"largest loss over that of GD, {inputs}, α ≤ 1", largest, 1.0),)
    return Outcome(checks, arrays, used, SEEDS)


def draw_shifted(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Losses over the scale, a panel a column."""
    panels = figure.subplots(1, 2)
    for axes, (column, alphas) in zip(panels, COLUMNS.items(), strict=True):
        lines = axes.semilogy(alphas, arrays[f"layers, {column}"], color=TEST, linewidth=1)
        lines[0].set_label("five layers")
        for name, style in (("GD", ":"), ("GD++", "--")):
            axes.semilogy(alphas, arrays[f"{name}, {column}"], style, color=TRAIN, label=name)
        axes.set_title(column)
        axes.set_xlabel("α")
    panels[0].set_ylabel("loss")
    panels[0].legend(frameon=False, loc="upper left")


_BUDGET = "GD++ is the best of five starts, trained for 3000 steps, 30,000 at paper scale"
FIVE_LAYERS = (
    Claim(
        id="trained-five-layers",
        statement="Five layers of their own first become gradient descent, and then GD++ with a "
        "step size and a curvature a layer; their loss comes close to zero.",
        place="Fig. 3b",
        tolerance="a loss of 0.03 and of 0.3 of that of GD with its best step size; of GD++ from "
        f"half to one and a half; cosines as in the figure; every seed. {_BUDGET}",
        shortfall="What layers come to is as in the figure, for every seed: the loss is an eighth "
        "of that of GD, near that of GD++, and cosines tell the two apart. On the way the cosine "
        "with GD has a peak, of 0.97 for the worst seed where 0.98 is asked for, at three early "
        "steps. Looked at every 50 steps, with half the rate or a rise of the rate over 1,500 "
        "steps, peaks are 0.979 to 0.983, three of five seeds above 0.98 at best: the rate is not "
        "the reason, but the noise of 64 contexts a step, where the paper has 2,048: with 256 all "
        "peaks are above 0.98. Those runs, of 2,000 and 8,000 steps, left a seed of five at a loss "
        "of 0.06 to 0.08; with a rate at which none was left, 0.01, the least peak is 0.9799.",
        measure=five_layers,
        draw=draw_five_layers,
        caption="The loss during training over those of GD, with its best shared step size, and "
        "GD++, with trained numbers a layer; and mean cosines with both on the way.",
        least="small",
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="trained-shift-five-layers",
        statement="On covariates of smaller scales five layers keep below gradient descent; on "
        "larger ones they leave GD++, and clipping bounds the loss.",
        place="Fig. 6c, A.2",
        tolerance="below GD for α up to 1, every seed; beyond it is only reported, as the paper "
        f"finds that the match degrades. {_BUDGET}",
        measure=shifted,
        draw=draw_shifted,
        caption="Losses at other scales than in training, five seeds, over GD and GD++; tokens of "
        "all three are clipped.",
        least="small",
        trains=True,
        dtype="float32",
    ),
)
