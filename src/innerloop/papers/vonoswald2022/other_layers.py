"""Trained layers with softmax and with LayerNorm: Figures 11, 12 and 14."""

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Float

from innerloop.algorithms import gradient_descent
from innerloop.diagnostics import after, predictions, sensitivities
from innerloop.models import SelfAttention, products
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most
from innerloop.papers.vonoswald2022 import implied as im
from innerloop.papers.vonoswald2022.curves import draw_least, draw_seeds
from innerloop.papers.vonoswald2022.one_layer import D, best_step
from innerloop.papers.vonoswald2022.watched import QUERIES, training_settings
from innerloop.report.canvas import TEST, TRAIN
from innerloop.tasks import LinearRegression, von_oswald
from innerloop.training import Optimizer, Trained, TrainingConfig, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = (0, 1, 2, 3, 4)
TASKS, FEW, BATCH = 10_000, 1000, 128
ONE_HEAD = SelfAttention(kernel="softmax")
TWO_HEADS = SelfAttention(kernel="softmax", heads=2)
NORMALISED = SelfAttention(layer_norm=True)
STEPS = {ONE_HEAD: 3000, TWO_HEADS: 3000, NORMALISED: 3000}
PAPER_STEPS = {ONE_HEAD: 5000, TWO_HEADS: 10_000, NORMALISED: 15_000}


def config(scale: Scale, layer: SelfAttention) -> TrainingConfig:
    """The paper's settings; or fewer contexts a step with ten queries each, a rate that decays."""
    if scale == "paper":
        return TrainingConfig(steps=PAPER_STEPS[layer], optimizer=Optimizer(clip=1e-3))
    optimizer = Optimizer(5e-3, clip=1e-3, schedule="cosine")
    return TrainingConfig(
        steps=STEPS[layer], batch=BATCH, optimizer=optimizer, evaluate_every=100,
        evaluation_prompts=1000,
    )  # fmt: skip


@cache
def trained(scale: Scale, layer: SelfAttention) -> Trained:
    """Five layers, from five seeds."""
    return train(layer, task(scale), config(scale, layer), seeds=SEEDS)


def task(scale: Scale) -> LinearRegression:
    """What the layers are trained on."""
    return dataclasses.replace(von_oswald(), m=1 if scale == "paper" else QUERIES)


def reference(scale: Scale) -> np.ndarray:
    """The loss of the best step on the prompts that training curves are drawn from."""
    rate = best_step()[0]
    return np.array(
        im.held_out_loss(gradient_descent(rate), 1, task(scale), config(scale, ONE_HEAD))
    )


def settings(scale: Scale, layer: SelfAttention) -> dict[str, int | float | str]:
    """What the training used."""
    return training_settings(scale, config(scale, layer), TASKS)


def errors(found: Trained, tasks: im.Drawn) -> Float[np.ndarray, "s b"]:
    """Half the squared errors of every seed, task by task."""
    each = [predictions(found.model(place), tasks.prompts) for place in range(len(SEEDS))]
    return 0.5 * (np.stack(each)[:, :, 0, 0].astype(np.float64) - tasks.answers) ** 2


def cosines(found: Trained, tasks: im.Drawn) -> Float[np.ndarray, " s"]:
    """Mean cosines of sensitivities with those of the best gradient step, on the first tasks."""
    few = jax.tree.map(lambda a: a[:FEW], tasks)
    step = im.implied_by(gradient_descent(best_step()[0]), 1, few)
    each = [sensitivities(found.model(place), few.prompts) for place in range(len(SEEDS))]
    return im.cosines(np.stack(each)[:, :, 0, 0].astype(np.float64), step)


def stepped(tasks: im.Drawn) -> Float[np.ndarray, " b"]:
    """Half the squared errors of the best gradient step."""
    answers = predictions(after(gradient_descent(best_step()[0]), 1), tasks.prompts)
    return 0.5 * (np.asarray(answers, np.float64)[:, 0, 0] - tasks.answers) ** 2


def _gap(layers: Float[np.ndarray, "s b"], step: Float[np.ndarray, " b"]) -> tuple[float, float]:
    """The mean loss above the step's, over seeds, and its paired standard error over tasks."""
    gap = layers.mean(0) - step
    return float(gap.mean()), float(gap.std() / np.sqrt(len(gap)))


def softmax_loss(scale: Scale) -> Outcome:
    """How far one and two softmax heads stay above the best gradient step."""
    tasks = im.drawn(von_oswald(), TASKS, seed=51)
    step, arrays, gaps, seeds, used = stepped(tasks), {}, [], [], {}
    for name, layer in (("one head", ONE_HEAD), ("two heads", TWO_HEADS)):
        found = trained(scale, layer)
        layers = errors(found, tasks)
        gaps.append(_gap(layers, step))
        seeds.append(layers.mean(1) - step.mean())
        used |= settings(scale, layer) | im.over_seeds(f"loss, {name}", layers.mean(1))
        used |= im.over_seeds(f"cosine, {name}", cosines(found, tasks))
        arrays |= {f"step {name}": found.history.steps, f"loss {name}": found.history.held_out}
    (one, error_one), (two, error_two) = gaps
    checks = (
        at_most("gap to the step, two heads over one", two / one, 0.5),
        at_most("the same, the worst seed with two heads over the best with one",
                seeds[1].max() / seeds[0].min(), 0.5),
        at_least("gap of one head in paired standard errors", one / error_one, 3.0),
        at_least("gap of two heads in paired standard errors", two / error_two, 3.0),
    )  # fmt: skip
    arrays["least"] = reference(scale)
    return Outcome(checks, arrays, used | {"loss of the step": float(step.mean())}, SEEDS)


def draw_softmax_loss(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Training curves."""
    axes = figure.subplots()
    for name, colour in (("one head", TEST), ("two heads", TRAIN)):
        label = f"softmax, {name}, five seeds"
        draw_seeds(axes, arrays[f"step {name}"], arrays[f"loss {name}"], label, colour=colour)
    draw_least(axes, arrays["least"])


def softmax_weights(scale: Scale) -> Outcome:
    """`W_KQ` of two softmax heads times what they write to the target, and the sum."""
    found = trained(scale, TWO_HEADS)
    queries_keys, values = products(found.models.stages[0].blocks.attention[0])
    queries_keys, values = (np.asarray(a, np.float64) for a in (queries_keys, values))
    kq = np.swapaxes(queries_keys[:, 0], -1, -2)  # seeds, heads, r, r
    written = values[:, 0, :, -1, -1]
    scaled = written[..., None, None] * kq
    block = scaled[..., :D, :D]

    def share(matrix: np.ndarray) -> np.ndarray:
        """Root mean square off the diagonal over that on it."""
        on = np.diagonal(matrix, axis1=-2, axis2=-1)
        off = matrix - on[..., None, :] * np.eye(D)
        return np.sqrt((off**2).sum((-1, -2)) / (D * (D - 1)) / (on**2).mean(-1))

    single, total = share(block).mean(1), share(block.sum(1))
    checks = (
        at_most("largest share off the diagonal, the sum over single heads",
                (total / single).max(), 0.3),
        at_most("largest product of the signs of what the two heads write",
                float(np.sign(written).prod(1).max()), -1.0),
    )  # fmt: skip
    used = settings(scale, TWO_HEADS) | im.over_seeds("share off the diagonal, heads", single)
    used |= im.over_seeds("share off the diagonal, sum", total)
    arrays = {"heads": scaled[0], "sum": scaled[0].sum(0)}
    return Outcome(checks, arrays, used, SEEDS)


def draw_softmax_weights(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Two heads and their sum, first seed."""
    matrices = (*arrays["heads"], arrays["sum"])
    top = max(np.abs(matrix).max() for matrix in matrices)
    panels = figure.subplots(1, 3)
    for axes, matrix, title in zip(panels, matrices, ("head 1", "head 2", "sum"), strict=True):
        axes.imshow(matrix, cmap="RdBu", vmin=-top, vmax=top)
        axes.grid(visible=False)
        axes.set_title(title)
        axes.set_xticks([0, D - 1, D], ["$x_1$", "$x_{10}$", "y"])
        axes.set_yticks([0, D - 1, D], ["$x_1$", "$x_{10}$", "y"])
    figure.colorbar(panels[0].images[0], ax=panels, shrink=0.6)


def layer_norm(scale: Scale) -> Outcome:
    """A linear layer behind LayerNorm, at the training scale and on larger covariates."""
    found, tasks = trained(scale, NORMALISED), im.drawn(von_oswald(), TASKS, seed=52)
    step, layers = stepped(tasks), errors(found, tasks)
    best = int(layers.mean(1).argmin())
    gap, error = _gap(layers[best : best + 1], step)
    larger = im.scaled(tasks, inputs=2.0)
    outside = errors(found, larger).mean(1) / stepped(larger).mean()
    targets = im.scaled(tasks, targets=5.0)
    beyond = errors(found, targets).mean(1) / stepped(targets).mean()
    checks = (
        at_least("gap of the best seed to the step in paired standard errors", gap / error, 3.0),
        at_most("largest loss over the step's on covariates twice as large", outside.max(), 1.0),
    )
    used = settings(scale, NORMALISED) | im.over_seeds("loss", layers.mean(1))
    used |= im.over_seeds("cosine", cosines(found, tasks))
    used |= im.over_seeds("over the step, covariates times 2", outside)
    used |= im.over_seeds("over the step, targets times 5", beyond)
    arrays = {
        "step": found.history.steps,
        "losses": found.history.held_out,
        "least": reference(scale),
    }
    return Outcome(checks, arrays, used | {"loss of the step": float(step.mean())}, SEEDS)


def draw_layer_norm(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """A curve a seed, over the loss of the best step."""
    axes = figure.subplots()
    draw_seeds(axes, arrays["step"], arrays["losses"], "a layer with LayerNorm, five seeds")
    draw_least(axes, arrays["least"])


OTHER_LAYERS = (
    Claim(
        id="softmax-weights",
        statement="Trained pairs of softmax heads have products of opposite signs that add up to "
        "a diagonal.",
        place="Fig. 11",
        tolerance="off the diagonal the sum has at most 0.3 of what single heads have, relative "
        "to the diagonal, every seed",
        measure=softmax_weights,
        draw=draw_softmax_weights,
        caption="W_KQ of two softmax heads times what each writes to the target, first seed.",
        least="small",
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="softmax-loss",
        statement="One softmax head cannot reach the gradient step; two come much nearer.",
        place="Fig. 12",
        tolerance="half the gap, also of the worst seed to the best; both gaps above zero by "
        "three paired standard errors",
        measure=softmax_loss,
        draw=draw_softmax_loss,
        caption="The loss of layers of softmax attention during training.",
        least="small",
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="layer-norm",
        statement="With LayerNorm a layer stays above the loss of the gradient step, and loses "
        "less than it on larger covariates.",
        place="Fig. 14, one layer",
        tolerance="three paired standard errors; below the step at twice the scale, every seed",
        measure=layer_norm,
        draw=draw_layer_norm,
        caption="The loss of linear attention behind LayerNorm during training.",
        least="small",
        trains=True,
        dtype="float32",
    ),
)
