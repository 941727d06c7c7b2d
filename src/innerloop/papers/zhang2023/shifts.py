"""What the trained layer does with covariates of another law."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from innerloop.constructions import (
    gradient_flow_limit,
    preconditioned_gradient_descent,
    shift_bias,
)
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most, near
from innerloop.papers.linear_tasks import task_map
from innerloop.papers.zhang2023.setting import LAMBDA, PROMPTS, RESTATED, SE, D
from innerloop.report.canvas import QUIET, TEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONG = {"smoke": 200, "small": 1000, "paper": 10_000}


def shifts(scale: Scale) -> Outcome:
    """The mean prediction with tasks, queries, and covariates of other laws."""
    rng, checks, n = np.random.default_rng(3), [], 1000
    limit = gradient_flow_limit(LAMBDA, n)
    model = preconditioned_gradient_descent((limit.value * limit.key_query)[None], p=D)
    prompts = LONG[scale]
    spreads = {"unshifted": LAMBDA, "four times as large": 4 * LAMBDA, "isotropic": np.eye(D)}
    for name, spread in spreads.items():
        x = rng.normal(size=(prompts, n, D)) @ np.sqrt(spread)
        maps = task_map(model, x)
        bias, expected = maps.mean(0) - np.eye(D), shift_bias(LAMBDA, n, spread)
        errors = maps.std(0) / np.sqrt(prompts)
        worst = np.max(np.abs(bias - expected) / errors)
        what = f"bias of M less the formula in standard errors, covariates {name}"
        checks.append(at_most(what, worst, 5.0))
        size = np.abs(np.diag(expected)).max()
        if name == "unshifted":
            checks.append(at_most("largest relative bias for any task and query", size, 0.05))
        else:
            checks.append(at_least(f"relative bias, covariates {name}", size, 0.5))
    settings = {"N = M": n, "d": D, "prompts": prompts}
    return Outcome(tuple(checks), settings=settings, seeds=(3,))


def random_covariance(scale: Scale) -> Outcome:
    """One step matrix for covariances with exponential eigenvalues, as N and M grow.

    The loss is of third degree in every eigenvalue, so that Gauss and Laguerre's two nodes average
    it exactly; only covariates are sampled.
    """
    rng, d, rows, checks = np.random.default_rng(4), 4, [], []
    nodes, mass = np.polynomial.laguerre.laggauss(2)
    spreads = np.stack(np.meshgrid(*[nodes] * d), -1).reshape(-1, d)
    weights = np.prod(np.stack(np.meshgrid(*[mass] * d), -1), -1).ravel()
    model = preconditioned_gradient_descent(np.eye(d)[None] / 3, p=d)
    for n in (10, 100, 1000):
        contexts = max(PROMPTS[scale] // (2 * n), 20)
        x = rng.normal(size=(contexts, len(spreads), n, d)) * np.sqrt(spreads)[:, None]
        wrong = task_map(model, x.reshape(-1, n, d)) - np.eye(d)
        squares = np.sum(wrong.reshape(contexts, -1, d, d) ** 2, axis=3)
        losses = np.einsum("bci,ci,c->b", squares, spreads, weights) / d
        mean, error = losses.mean(), losses.std() / np.sqrt(contexts)
        law = _law(n, d)
        what = f"error of the layer over d, A = 1/3, N = M = {n}"
        checks.append(near(what, mean, law, absolute=SE * error, said=""))
        rows.append((n, mean, error))
    matrices = np.linspace(0, 1, 10_001)
    limits = mass @ (nodes[:, None] * (1 - matrices * nodes[:, None]) ** 2)
    best, least = matrices[limits.argmin()], limits.min()
    checks.append(near("best A as N = M → ∞", best, 1 / 3, absolute=1e-4))
    checks.append(near("its error over d", least, 1 / 3, absolute=1e-7, said="does not vanish"))
    return Outcome(tuple(checks), {"errors": np.array(rows)}, {"d": d}, seeds=(4,))


def _law(n: int, d: int) -> float:
    """`E S^2` is `Lambda^2 + (Lambda^2 + Lambda tr Lambda) / n`; `E s^2 = 2` and `E s^3 = 6`."""
    return 1 / 3 + (12 + 2 * (d - 1)) / (9 * n)


def draw_random_covariance(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """The error over the number of examples."""
    axes = figure.subplots()
    n, mean, error = arrays["errors"].T
    bars = {"fmt": "o", "color": TEST, "markersize": 4}
    axes.errorbar(n, mean, yerr=SE * error, **bars, label="the layer, sampled")
    line = np.unique(np.geomspace(n.min(), n.max(), 100).astype(int)).tolist()
    axes.plot(line, [_law(k, 4) for k in line], color=QUIET, label="closed form")
    axes.axhline(1 / 3, color=QUIET, linestyle="--", label="1/3")
    axes.set_xscale("log")
    axes.set_ylim(0, None)
    axes.set_xlabel("examples in training and in the prompt")
    axes.set_ylabel("error over d")
    axes.legend(frameon=False)


SHIFTS = (
    Claim(
        id="shifts",
        statement="The mean prediction is right for every task and query when covariates keep "
        "their covariance, and off by x_qᵀ (Γ⁻¹ Λ' - I) w when they have another.",
        place="Section 4.2",
        tolerance=f"5 standard errors for each of 16 entries; {RESTATED}",
        measure=shifts,
    ),
    Claim(
        id="random-covariance",
        statement="When every prompt has a covariance of its own, one layer's error does not "
        "vanish with more examples: for exponential eigenvalues it stays at d / 3.",
        place="Section 5; the value is our derivation for diagonal covariances",
        tolerance=f"{SE:g} standard errors around 1/3 + (12 + 2 (d - 1)) / 9n, ours",
        measure=random_covariance,
        draw=draw_random_covariance,
        caption="The error of the best step matrix as prompts grow in training and in test, "
        f"with {SE:g} standard errors.",
    ),
)
