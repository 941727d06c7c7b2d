"""Mahankali, Hashimoto and Ma (2023): one step of gradient descent is the best single layer."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from innerloop.constructions import linear_optimum
from innerloop.papers.claims import Claim, Outcome, Paper, Scale, at_most, near

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, NOISE = 5, 0.25
LENGTHS = (2, 5, 11, 23, 47)
PROMPTS = {"smoke": 20_000, "small": 400_000, "paper": 10_000_000}
BATCH = 20_000
SE = 4.0


def step_size(scale: Scale) -> Outcome:
    """`E[w_hat . X^T y] / E|X^T y|^2` by sampling, beside `1 / (n + d + 1 + s^2)`."""
    rng = np.random.default_rng(0)
    checks, found, errors = [], [], []
    for n in LENGTHS:
        estimate, error = _best_step(n, PROMPTS[scale], rng)
        expected = 1 / (n + D + 1 + NOISE)
        compiled = linear_optimum(np.eye(D), n, noise=NOISE).preconditioner[0, 0] / n
        checks.append(near(f"step size, n = {n}", estimate, expected, absolute=SE * error))
        checks.append(at_most(f"closed form less ours, n = {n}", abs(compiled - expected), 1e-14))
        found.append(estimate)
        errors.append(error)
    arrays = {"n": np.array(LENGTHS), "found": np.array(found), "error": np.array(errors)}
    settings = {"d": D, "noise variance": NOISE, "prompts": PROMPTS[scale]}
    return Outcome(tuple(checks), arrays, settings, seeds=(0,))


def _best_step(n: int, prompts: int, rng: np.random.Generator) -> tuple[float, float]:
    """The step that minimises the sampled loss, and its standard error by the delta method."""
    tops, bottoms = [], []
    for _ in range(prompts // BATCH):
        x, w = rng.normal(size=(BATCH, n, D)), rng.normal(size=(BATCH, D))
        y = np.einsum("bnd,bd->bn", x, w) + NOISE**0.5 * rng.normal(size=(BATCH, n))
        gradient = np.einsum("bnd,bn->bd", x, y)
        tops.append(np.sum(w * gradient, axis=1))
        bottoms.append(np.sum(gradient**2, axis=1))
    top, bottom = np.concatenate(tops), np.concatenate(bottoms)
    step = top.mean() / bottom.mean()
    spread = np.std(top - step * bottom) / (len(top) ** 0.5 * bottom.mean())
    return float(step), float(spread)


def draw_step_size(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Sampled step sizes over the closed form."""
    axes = figure.subplots()
    n = np.linspace(arrays["n"].min(), arrays["n"].max(), 200)
    axes.plot(n, 1 / (n + D + 1 + NOISE), color="#6b7783", label="1 / (n + d + 1 + s²)")
    bars = {"yerr": SE * arrays["error"], "fmt": "o", "color": "#0f62a8", "markersize": 4}
    axes.errorbar(arrays["n"], arrays["found"], **bars, label="best step on sampled prompts")
    axes.set_xlabel("context examples n")
    axes.set_ylabel("step size")
    axes.legend(frameon=False)


MAHANKALI_2023 = Paper(
    key="mahankali2023",
    title="One step of gradient descent is provably the optimal in-context learner with one layer "
    "of linear self-attention",
    authors="Mahankali, Hashimoto, Ma",
    link="https://arxiv.org/abs/2307.03576",
    summary="Among all single layers of linear self-attention, the one with the least loss on "
    "random linear regression does one step of gradient descent from zero on the context.",
    found="The optimal step size holds as stated; for isotropic covariates it has a closed form, "
    "which the paper does not print.",
    claims=(
        Claim(
            id="step-size",
            statement="For isotropic Gaussian covariates and tasks, labels with noise of variance "
            "s², the best layer takes one gradient step from zero on the sum of squares, of size "
            "E[w . Xᵀy] / E|Xᵀy|², which is 1 / (n + d + 1 + s²).",
            place="Theorem 1",
            tolerance=f"{SE:g} standard errors of the sampled ratio",
            measure=step_size,
            draw=draw_step_size,
            caption="The step size that minimises the loss on sampled prompts, with "
            f"{SE:g} standard errors, over the closed form.",
        ),
    ),
)
