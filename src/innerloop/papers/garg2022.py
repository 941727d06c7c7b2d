"""Garg, Tsipras, Liang and Valiant (2022): what transformers can learn in context."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Float

from innerloop import constructions
from innerloop.constructions import Construction
from innerloop.papers.baselines import (
    Baseline,
    Batch,
    averaging,
    error,
    lasso,
    least_squares,
    linear,
    nearest,
)
from innerloop.papers.claims import Claim, Outcome, Paper, Scale, at_least, at_most, near, untrained
from innerloop.prompts import Prompt
from innerloop.report.canvas import INK, QUIET, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D = 20
PROMPTS = {"smoke": 1_280, "small": 5_000, "paper": 100_000}
EXAMPLES = {
    "smoke": (1, 5, 10, 19, 20, 40),
    "small": (1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 19, 20, 22, 25, 30, 35, 40),
    "paper": tuple(range(1, 41)),
}
SE = 4.0


def answers(model: Construction, batch: Batch) -> Float[np.ndarray, " b"]:
    """A transformer's predictions, prompt by prompt."""
    run = jax.vmap(lambda x, y, q: model(Prompt(x, y[:, None], q[None]))[0, 0])
    return np.asarray(jax.jit(run)(*(jax.numpy.asarray(part) for part in batch[:3])))


def _curve(scale: Scale, predict: Baseline, expected: Callable[[int], float], name: str) -> Outcome:
    """Sampled errors of a predictor against its law."""
    rng = np.random.default_rng(0)
    checks, found, errors = [], [], []
    for k in EXAMPLES[scale]:
        batch = linear(rng, PROMPTS[scale], k, D)
        value, spread = error(batch, predict(batch), divisor=D)
        law = expected(k)
        room = SE * spread if law else 1e-9
        checks.append(near(f"error over d of {name}, k = {k}", value, law, absolute=room, said=""))
        found.append(value)
        errors.append(spread)
    arrays = {
        "k": np.array(EXAMPLES[scale]),
        "found": np.array(found),
        "error": np.array(errors),
        "law": np.array([float(expected(k)) for k in EXAMPLES[scale]]),
    }
    return Outcome(tuple(checks), arrays, {"d": D, "prompts": PROMPTS[scale]}, seeds=(0,))


def least_squares_curve(scale: Scale) -> Outcome:
    """Least squares, and the same by Newton's method in the weights of a transformer."""
    outcome = _curve(scale, least_squares, lambda k: max(1 - k / D, 0.0), "least squares")
    model = constructions.newton(d=D, p=1, steps=24, scale=0.15)
    checks = []
    for k in (40,) if scale == "smoke" else (40, 60):
        batch = linear(np.random.default_rng(k), 200, k, D)
        gap = float(np.abs(answers(model, batch) - least_squares(batch)).max())
        checks.append(at_most(f"transformer of {model.depth} layers less it, k = {k}", gap, 1e-6))
    return Outcome((*outcome.checks, *checks), outcome.arrays, outcome.settings, (0,))


def averaging_curve(scale: Scale) -> Outcome:
    """Averaging, and the same by one layer of linear attention."""
    outcome = _curve(scale, averaging, lambda k: (D + 1) / k, "averaging")
    model = constructions.gradient_descent(d=D, p=1, steps=1, learning_rate=1.0)
    batch = linear(np.random.default_rng(1), 500, 10, D)
    gap = float(np.abs(answers(model, batch) - averaging(batch)).max())
    check = at_most("one layer of linear attention less it, k = 10", gap, 1e-12)
    return Outcome((*outcome.checks, check), outcome.arrays, outcome.settings, (0, 1))


def sparse(scale: Scale) -> Outcome:
    """Lasso beside least squares where three weights of twenty are not zero."""
    rng, checks, found = np.random.default_rng(2), [], []
    prompts = {"smoke": 320, "small": 1_280, "paper": 20_000}[scale]
    for k in (10, 15, 30):
        batch = linear(rng, prompts, k, D, sparsity=3)
        values = [error(batch, lasso(batch, penalty=0.01), divisor=3)]
        values += [error(batch, f(batch), divisor=3) for f in (least_squares, nearest)]
        if k < D:
            gain = values[0][0] / values[1][0]
            checks.append(at_most(f"Lasso over least squares, k = {k}", gain, 0.5))
        worse = values[2][0] / values[0][0]
        checks.append(at_least(f"three neighbours over Lasso, k = {k}", worse, 5.0))
        found.append([value for value, _ in values])
    arrays = {"k": np.array((10, 15, 30)), "found": np.array(found)}
    return Outcome(tuple(checks), arrays, {"d": D, "prompts": prompts, "alpha": 0.01}, seeds=(2,))


def draw_curve(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Sampled errors over the law."""
    axes = figure.subplots()
    axes.plot(arrays["k"], arrays["law"], color=QUIET, label="closed form")
    bars = {"yerr": SE * arrays["error"], "fmt": "o", "color": TEST, "markersize": 3}
    axes.errorbar(arrays["k"], arrays["found"], **bars, label="sampled prompts")
    axes.set_xlabel("examples k")
    axes.set_ylabel("squared error over d")
    if arrays["law"].max() > 2:
        axes.set_yscale("log")
    axes.legend(frameon=False)


def draw_sparse(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """The three predictors."""
    axes = figure.subplots()
    names = ("Lasso, alpha = .01", "least squares", "three neighbours")
    for line, name, colour in zip(arrays["found"].T, names, (TRAIN, TEST, INK), strict=True):
        axes.semilogy(arrays["k"], np.maximum(line, 1e-8), "o-", color=colour, label=name)
    axes.set_ylim(bottom=1e-5)
    axes.set_xticks(arrays["k"])
    axes.set_xlabel("examples k")
    axes.set_ylabel("squared error over 3")
    axes.legend(frameon=False)


GARG_2022 = Paper(
    key="garg2022",
    title="What can transformers learn in-context? A case study of simple function classes",
    authors="Garg, Tsipras, Liang, Valiant",
    link="https://arxiv.org/abs/2208.01066",
    summary="Transformers trained from scratch on prompts of random functions learn new functions "
    "of the class in context, about as well as the best learner known for it.",
    found="The baselines' curves have closed forms, which the paper does not print, and two of "
    "them are transformers: averaging is one layer of linear attention, and least squares is "
    "Newton's method in a few more. The released code was read, the paper's text was not.",
    claims=(
        Claim(
            id="least-squares",
            statement="Least squares has an error of 1 - k/d of the labels' variance from k < d "
            "examples, and none from d on; a transformer with Newton's steps in its weights does "
            "the same.",
            place="Section 3, Figure 2, curve of least squares; the closed form is ours",
            tolerance=f"{SE:g} standard errors; 1e-9 where the error is zero",
            measure=least_squares_curve,
            draw=draw_curve,
            caption="Error of least squares on noiseless prompts, d = 20, with "
            f"{SE:g} standard errors.",
        ),
        Claim(
            id="averaging",
            statement="Averaging y x over the prompt has an error of (d + 1)/k; it is one layer of "
            "linear attention.",
            place="Section 3, Figure 2, curve of averaging; the closed form is ours",
            tolerance=f"{SE:g} standard errors; 1e-12 between transformer and formula",
            measure=averaging_curve,
            draw=draw_curve,
            caption="Error of averaging on noiseless prompts, d = 20, with "
            f"{SE:g} standard errors.",
        ),
        Claim(
            id="sparse-baselines",
            statement="Where three weights of twenty are not zero, Lasso needs fewer examples than "
            "least squares.",
            place="Section 4, sparse linear functions, the baselines",
            tolerance="a factor of two for k < d, of five over nearest neighbours",
            measure=sparse,
            draw=draw_sparse,
            caption="Errors on sparse linear functions, d = 20.",
        ),
        untrained(
            "linear",
            "A transformer trained on linear functions matches least squares.",
            "Section 3, Figure 2",
            "within .05 of 1 - k/d for few examples, and below .1 at k = 2d",
        ),
        untrained(
            "shifted-prompts",
            "It still does on prompts of other distributions, but for scaled covariates.",
            "Section 3, prompts out of distribution",
            "errors against those of ordinary prompts, by kind of shift",
        ),
        untrained(
            "sparse",
            "A transformer trained on sparse linear functions matches Lasso.",
            "Section 4",
            "error over 3 against Lasso's at 10, 15, 20 and 40 examples",
        ),
        untrained(
            "trees-and-networks",
            "Transformers trained on decision trees or two-layer networks match the methods made "
            "for them.",
            "Section 4",
            "errors against greedy trees and networks trained on the prompt",
        ),
        untrained(
            "curriculum",
            "Training with a curriculum of dimensions and lengths is faster.",
            "Section 5",
            "steps until the loss has halved, with and without",
        ),
    ),
)
