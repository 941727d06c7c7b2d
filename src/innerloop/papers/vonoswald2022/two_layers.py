"""Two trained layers that share their weights: Figure 3a and the curvatures of Appendix A.10."""

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from innerloop.algorithms import gd_plus_plus, gradient_descent
from innerloop.constructions import best_schedule, spectra
from innerloop.models import SelfAttention
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most, near
from innerloop.papers.vonoswald2022 import implied as im
from innerloop.papers.vonoswald2022.curves import draw_references
from innerloop.papers.vonoswald2022.watched import QUERIES, Watched, watched
from innerloop.report.canvas import QUIET, TEST, TRAIN
from innerloop.tasks import LinearRegression, von_oswald
from innerloop.training import Optimizer, TrainingConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, STEPS = 10, 2
SEEDS = (0, 1, 2, 3, 4)
PRINTED = {10: 0.179, 25: 0.099, 50: 0.056, 100: 0.029}
BUDGETS = {
    10: (256, 2500, 3e-3, 0),
    25: (256, 2000, 3e-3, 0),
    50: (256, 2500, 2e-3, 0),
    100: (64, 5000, 4e-3, 3000),
}
"""By context length, below paper scale: batch, steps, largest rate, steps over which it rises."""
EARLY = (250, 400, 700)
SEARCHED, TASKS = 20_000, 10_000


def config(scale: Scale, n: int) -> TrainingConfig:
    """The paper's settings; or fewer contexts a step with ten queries each, a rate that decays."""
    if scale == "paper":
        return TrainingConfig(optimizer=Optimizer(clip=1e-3), evaluate_every=50)
    batch, steps, rate, warmup = BUDGETS[n]
    optimizer = Optimizer(rate, clip=1e-3, schedule="cosine", warmup=warmup)
    return TrainingConfig(
        steps=steps, batch=batch, optimizer=optimizer, evaluate_every=50, evaluation_prompts=1000
    )


def task(scale: Scale, n: int) -> LinearRegression:
    """What the layers are trained on."""
    return dataclasses.replace(von_oswald(n=n), m=1 if scale == "paper" else QUERIES)


@cache
def trained_layers(scale: Scale, n: int = D) -> Watched:
    """Five pairs of layers, from five seeds."""
    layers = SelfAttention(depth=STEPS, tied=True)
    return watched(layers, task(scale, n), config(scale, n), seeds=SEEDS, early=EARLY)


def settings(scale: Scale, n: int) -> dict[str, int | float | str]:
    """What the training used."""
    used = config(scale, n)
    return {
        f"steps, N = {n}": used.steps,
        f"batch, N = {n}": used.batch,
        f"warm-up, N = {n}": used.optimizer.warmup,
        "queries a prompt": 1 if scale == "paper" else QUERIES,
        f"learning rate, N = {n}": used.optimizer.learning_rate,
        "schedule": used.optimizer.schedule,
        "held-out tasks": TASKS,
        "precision": "float32",
    }


@cache
def best(n: int, *, curved: bool, steps: int = STEPS) -> tuple[float, float]:
    """The shared η and γ of least loss, beside means, on contexts of their own."""
    x = np.random.default_rng(7).uniform(-0.5, 0.5, size=(SEARCHED, n, D))
    found = best_schedule(spectra(x), steps, curved=curved)
    return float(found.learning_rates[0]), float(found.curvatures[0])


def two_layers(scale: Scale) -> Outcome:
    """Losses and cosines beside GD and GD++ with their best numbers, on the same tasks."""
    tasks = im.drawn(von_oswald(), TASKS, seed=21)
    plain = im.implied_by(gradient_descent(best(D, curved=False)[0]), STEPS, tasks)
    curved = im.implied_by(gd_plus_plus(*best(D, curved=True)), STEPS, tasks)
    trained, seen = trained_layers(scale)
    layers = im.implied(trained.models, tasks)
    losses = im.half_errors(layers, tasks).mean(1)
    gd, gdpp = (float(im.half_errors(one, tasks).mean()) for one in (plain, curved))
    to_plain, to_curved = im.cosines(layers, plain), im.cosines(layers, curved)
    early = [im.implied(seen[k], tasks) for k in EARLY]
    way = np.array([[im.cosines(one, other) for other in (plain, curved)] for one in early])
    way = np.concatenate([way, [[to_plain, to_curved]]])
    rate, gamma = best(D, curved=True)
    hand = im.constructed(D, rate / D, gamma / D)
    middle = im.between(im.rescaled(im.read_products(trained), D), hand)
    mixed = im.half_errors(im.implied(im.with_products(trained.models, middle), tasks), tasks)
    checks = (
        at_most("largest loss over that of GD", losses.max() / gd, 0.80),
        at_most("largest distance of the loss from GD++, relative",
                np.abs(losses / gdpp - 1).max(), 0.03),
        at_least("least cosine with GD++", to_curved.min(), 0.99, said="1"),
        at_most("largest cosine with GD in the end", to_plain.max(), 0.965),
        at_least("least cosine with GD in the end", to_plain.min(), 0.90),
        at_least("least peak of the cosine with GD on the way", way[:, 0].max(0).min(), 0.985),
        at_most("loss of the mean with GD++ over the larger of the two",
                (mixed.mean(1) / np.maximum(losses, gdpp)).max(), 1.02),
    )  # fmt: skip
    learners = gradient_descent(best(D, curved=False)[0]), gd_plus_plus(rate, gamma)
    references = [
        im.held_out_loss(learner, STEPS, task(scale, D), config(scale, D)) for learner in learners
    ]
    arrays = {
        "step": trained.history.steps,
        "losses": trained.history.held_out,
        "references": np.array(references),
        "steps of cosines": np.array([*EARLY, config(scale, D).steps]),
        "cosines": way,
    }
    used = settings(scale, D) | im.over_seeds("loss over seeds", losses) | {"GD": gd, "GD++": gdpp}
    used |= im.over_seeds("cosine with GD", to_plain) | im.over_seeds("cosine with GD++", to_curved)
    return Outcome(checks, arrays, used, SEEDS)


def draw_two_layers(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Losses during training, and cosines on the way."""
    left, right = figure.subplots(1, 2)
    left.plot(arrays["step"], arrays["losses"], color=TEST, linewidth=1)
    draw_references(left, arrays["references"])
    left.set_ylim(0.08, 0.45)
    left.set_xlabel("training steps")
    left.set_ylabel("loss, five seeds")
    left.legend(frameon=False)
    for place, (name, colour) in enumerate((("GD", QUIET), ("GD++", TEST))):
        lines = right.plot(
            arrays["steps of cosines"], arrays["cosines"][:, place], "o-", color=colour,
            markersize=3, linewidth=1,
        )  # fmt: skip
        lines[0].set_label(f"with {name}")
    right.set_ylim(None, 1.005)
    right.set_xlabel("training steps")
    right.set_ylabel("cosine of sensitivities")
    right.legend(frameon=False)


def gammas(scale: Scale) -> Outcome:
    """The curvature in `beta P W_V` of layers trained at four context lengths."""
    checks, rows, used = [], [], {}
    for n, printed in PRINTED.items():
        found = im.rescaled(im.read_products(trained_layers(scale, n).trained), D)
        diagonal = -np.diagonal(found.pv, axis1=1, axis2=2)[:, :D]
        gamma, optimum = diagonal.mean(1), best(n, curved=True)[1] / n
        off = np.abs(found.pv * (1 - np.eye(D + 1))).max((1, 2)) / np.abs(found.pv).max((1, 2))
        there = np.abs(gamma / optimum - 1) <= 0.05
        checks += [
            near(f"median γ over seeds, N = {n}, against that of least loss",
                 float(np.median(gamma)), optimum, relative=0.05, said=f"{printed:g}"),
            at_least(f"seeds within 5 % of it, of 5, N = {n}", float(there.sum()), 4.0),
            at_most(f"their largest spread on a diagonal, relative, N = {n}",
                    float((diagonal.std(1) / gamma)[there].max(initial=0.0)), 0.05),
            at_most(f"their largest entry off a diagonal over the largest entry, N = {n}",
                    float(off[there].max(initial=0.0)), 0.03),
        ]  # fmt: skip
        reached = gamma[there]
        rows.append((n, reached.mean(), reached.std(ddof=1), optimum, printed))
        used[f"γ by seed, N = {n}"] = " ".join(f"{value:.4g}" for value in gamma)
        used |= settings(scale, n) | im.over_seeds(f"γ at N = {n}", gamma)
        used |= im.over_seeds(f"η at N = {n}", -n * found.pv[:, -1, -1])
    return Outcome(tuple(checks), {"gammas": np.array(rows)}, used, SEEDS)


def draw_gammas(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Learnt here, of least loss, and printed, over N."""
    axes = figure.subplots()
    n, mean, deviation, optimum, printed = arrays["gammas"].T
    axes.loglog(n, optimum, color=QUIET, label="least loss, by the spectrum")
    axes.errorbar(n, mean, yerr=deviation, fmt="o", color=TEST, markersize=5, label="learnt here")
    axes.loglog(n, printed, "x", color=TRAIN, markersize=8, label="learnt, as printed")
    axes.set_xticks(n, [f"{k:g}" for k in n])
    axes.set_yticks([0.03, 0.05, 0.1, 0.2], ["0.03", "0.05", "0.1", "0.2"])
    axes.minorticks_off()
    axes.set_xlabel("context examples N")
    axes.set_ylabel("γ of two shared layers")
    axes.legend(frameon=False)


TWO_LAYERS = (
    Claim(
        id="trained-two-layers",
        statement="Two shared layers beat gradient descent and reach GD++; on the way they pass "
        "through gradient descent.",
        place="Fig. 3a",
        tolerance="a fifth below GD, within 3 % of GD++ with its best numbers, on the same tasks; "
        "cosines as in the figure",
        measure=two_layers,
        draw=draw_two_layers,
        caption="The loss during training over those of GD and GD++ with their best shared "
        "numbers, and mean cosines with both on the way.",
        least="small",
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="trained-gamma",
        statement="The curvature that two shared layers learn is 0.179, 0.099, 0.056, 0.029 for "
        "N = 10, 25, 50, 100.",
        place="Appendix A.10",
        tolerance="5 % of the curvature of least loss, for the median and at least four of five "
        "seeds; a seed may stay on a plateau or end in a local optimum, and is counted",
        measure=gammas,
        draw=draw_gammas,
        caption="The curvature of trained layers, mean and standard deviation over the seeds that "
        "reach it, at least four of five.",
        least="small",
        trains=True,
        dtype="float32",
    ),
)
