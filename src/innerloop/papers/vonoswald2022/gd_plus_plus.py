"""Appendix A.10: GD++, its construction, and what it does to the curvature."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import equinox as eqx
import numpy as np
from jaxtyping import Float

from innerloop.constructions import gd_plus_plus, gradient_descent
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most, near
from innerloop.papers.vonoswald2022.explicit import EXACT, D, N, P, apart, sampled
from innerloop.prompts import Prompt
from innerloop.report.canvas import INK, QUIET, TEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATE, CURVATURE = 0.9, 0.3  # beside means; the paper's γ is ours divided by N
DEPTHS = (1, 2, 5)
SETTINGS = {"d": D, "p": P, "learning_rate": RATE, "curvature": CURVATURE}


def explicit(
    prompt: Prompt, weights: Float[np.ndarray, "p d"], steps: int
) -> Float[np.ndarray, "m p"]:
    """Covariates times `I - gamma X X^T`, then the gradient step of before, K times."""
    gamma, eta = CURVATURE / prompt.n, RATE / prompt.n
    x, query, residual = prompt.x, prompt.xq, prompt.y - prompt.x @ weights.T
    answer = query @ weights.T
    for _ in range(steps):
        second = x.T @ x
        answer = answer + eta * query @ x.T @ residual
        residual = residual - eta * x @ x.T @ residual
        x, query = x - gamma * x @ second, query - gamma * query @ second
    return np.asarray(answer)


def construction(scale: Scale) -> Outcome:
    """The layers against the recursion, and the printed `W_V` for a start that is not zero."""
    del scale
    rng, checks = np.random.default_rng(0), []
    prompt, start = sampled(rng), rng.normal(size=(P, D))
    for steps in DEPTHS:
        model = gd_plus_plus(**SETTINGS, steps=steps, weights=start)
        expected = explicit(prompt, start, steps)
        checks.append(
            at_most(f"relative error, K = {steps}", apart(model(prompt), expected), EXACT)
        )
        if steps < 5:
            value = model.transformer.blocks.attention[0].W_V.copy()
            value[0, 0, D:, :D] = start
            tokens = gradient_descent(d=D, p=P, steps=1, learning_rate=RATE, weights=start).embed
            printed = eqx.tree_at(
                lambda m: (m.transformer.blocks.attention[0].W_V, m.embed), model, (value, tokens)
            )
            error, what = apart(printed(prompt), expected), f"as printed, random W_0, K = {steps}"
            checks.append(
                at_most(what, error, EXACT) if steps == 1 else at_least(what, error, 1e-3)
            )
    settings = {"N": N, "N_x": D, "N_y": P, "η": RATE, "γ": CURVATURE / N}
    return Outcome(tuple(checks), settings=settings, seeds=(0,))


def curvature(scale: Scale) -> Outcome:
    """Eigenvalues of `X X^T` after a layer, read from the residual stream, over those before."""
    del scale
    rng, n, d = np.random.default_rng(1), 25, 10
    x = rng.uniform(-1, 1, size=(n, d))
    gamma = 0.2 / np.linalg.eigvalsh(x.T @ x).mean()
    model = gd_plus_plus(d=d, p=1, steps=1, learning_rate=1.0, curvature=gamma * n)
    moved = model.stream(Prompt(x, np.zeros((n, 1)), x))[:, :d]
    before = np.linalg.eigvalsh(x.T @ x)
    after = np.linalg.eigvalsh(moved.T @ moved)
    law = before * (1 - gamma * before) ** 2
    top, height = 1 / (3 * gamma), 4 / (27 * gamma)
    grid = np.linspace(0, 1 / gamma, 100_001)
    values = grid * (1 - gamma * grid) ** 2
    checks = (
        at_most("largest difference from λ (1 - γλ)²", np.abs(after - np.sort(law)).max(), EXACT),
        near("its maximum times γ", values.max() * gamma, 4 / 27, absolute=1e-9, said="4/27"),
        near("where, times γ", grid[values.argmax()] * gamma, 1 / 3, absolute=1e-5, said="1/3"),
        at_most("its value at λ = 1 / γ", values[-1], 1e-15, said="0"),
    )
    arrays = {
        "before": before,
        "after": law,
        "gamma": np.array(gamma),
        "top": np.array([top, height]),
    }
    return Outcome(checks, arrays, {"N": n, "N_x": d, "γ": float(gamma)}, seeds=(1,))


def draw_curvature(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """The law, with the eigenvalues of one context."""
    axes, gamma = figure.subplots(), arrays["gamma"]
    grid = np.linspace(0, 1.1 * max(arrays["before"].max(), arrays["top"][0]), 300)
    axes.plot(grid, grid * (1 - gamma * grid) ** 2, color=QUIET, label="λ (1 - γλ)²")
    axes.plot(grid, grid, ":", color=QUIET, label="unchanged")
    axes.plot(arrays["before"], arrays["after"], "o", color=TEST, markersize=5, label="one context")
    axes.plot(*arrays["top"], "x", color=INK, label="(1 / 3γ, 4 / 27γ)")
    axes.set_ylim(0, 2 * arrays["top"][1])
    axes.set_xlabel("eigenvalue λ of $XX^{T}$ before the layer")
    axes.set_ylabel("after it")
    axes.legend(frameon=False)


GD_PLUS_PLUS = (
    Claim(
        id="gd-plus-plus",
        statement="A layer that also writes to the covariates does GD++: it takes the gradient "
        "step, and multiplies every covariate by I - γ X Xᵀ.",
        place="Appendix A.10",
        tolerance="float64 rounding; the printed matrix must be wrong by 1e-3 at K = 2",
        measure=construction,
        correction="For W_0 other than zero the printed W_V is right in the first layer only: "
        "later layers multiply W_0 with covariates that have changed. Putting y - W_0 x into the "
        "tokens mends it.",
    ),
    Claim(
        id="curvature",
        statement="A layer of GD++ turns an eigenvalue λ of X Xᵀ into λ (1 - γλ)², which is "
        "largest at 1 / 3γ with the value 4 / 27γ and zero at 1 / γ.",
        place="Appendix A.10, Fig. 13 left",
        tolerance="float64 rounding; the maximum on a grid of 100,000 points",
        measure=curvature,
        draw=draw_curvature,
        caption="Eigenvalues of a context before and after one layer of GD++, over the law.",
    ),
)
