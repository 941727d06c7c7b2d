"""The predictors that trained transformers are compared with, as constructions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from innerloop.constructions import gradient_descent, mesa_layer
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most, near
from innerloop.papers.linear_tasks import predictions
from innerloop.prompts import Prompt
from innerloop.report.canvas import ramp

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D = 8
RATIOS = (1 / 16, 1 / 9, 1 / 4, 4 / 9)  # the noise's variance over the tasks'
CONTEXTS = {"smoke": 500, "small": 10_000, "paper": 100_000}
SE = 4.0


def batch_step(scale: Scale) -> Outcome:
    """`w_0 - 2 a (X^T X w_0 - X^T y)` and one layer with `eta = 2 a n`."""
    del scale
    rng, checks, rate, n = np.random.default_rng(0), [], 0.01, 12
    x, y, xq = (rng.normal(size=s) for s in ((n, D), (n, 1), (5, D)))
    for name, start in (("zero", np.zeros(D)), ("random", rng.normal(size=D))):
        expected = xq @ (start - 2 * rate * (x.T @ x @ start - x.T @ y[:, 0]))
        for factor in (2, 1):
            model = gradient_descent(
                d=D, p=1, steps=1, learning_rate=factor * rate * n, weights=start[None]
            )
            error = np.abs(model(Prompt(x, y, xq))[:, 0] - expected).max()
            check = at_most if factor == 2 else at_least
            what = f"error of a layer with η = {factor} α n, {name} start"
            checks.append(check(what, error, 1e-12 if factor == 2 else 1e-2))
    return Outcome(tuple(checks), settings={"d": D, "n": n, "α": rate}, seeds=(0,))


def matched_ridge(scale: Scale) -> Outcome:
    """The risk of ridge regressions over penalties, at every noise, from 1 to d - 1 examples."""
    rng, checks, arrays = np.random.default_rng(1), [], {}
    grid = np.geomspace(1 / 32, 1, 61)
    arrays["penalty"] = grid
    spectra = [
        np.linalg.svd(rng.normal(size=(CONTEXTS[scale], n, D)), compute_uv=False) ** 2
        for n in range(1, D)
    ]
    for ratio in RATIOS:
        risks = []
        for penalty in (*grid, *RATIOS):
            total = 0.0
            for values in spectra:
                kept = values.shape[1]
                left = (penalty**2 + ratio * values) / (values + penalty) ** 2
                total += np.mean(np.sum(left, axis=1)) + D - kept
            risks.append(total / (D * len(spectra)))
        on_grid = np.array(risks[len(grid) :])
        best = RATIOS[int(on_grid.argmin())]
        checks.append(near(f"best penalty of the grid, σ²/τ² = {ratio:.3g}", best, ratio, said=""))
        arrays[f"{ratio:.3g}"] = np.array(risks[: len(grid)])
    n, ratio = 5, RATIOS[2]
    x = rng.normal(size=(CONTEXTS[scale], n, D))
    w = rng.normal(size=(CONTEXTS[scale], D, 1))
    y = x @ w + ratio**0.5 * rng.normal(size=(CONTEXTS[scale], n, 1))
    queries = np.broadcast_to(np.eye(D), (len(x), D, D))
    found = predictions(mesa_layer(d=D, p=1, penalty=ratio), x, y, queries)
    squares = np.sum((found - w) ** 2, axis=(1, 2)) / D
    values = spectra[n - 1]
    kept = np.sum((ratio**2 + ratio * values) / (values + ratio) ** 2, axis=1)
    expected, errors = (kept.mean() + D - n) / D, squares.std() / np.sqrt(len(squares))
    errors = np.hypot(errors, kept.std() / D / np.sqrt(len(kept)))
    what = f"risk of the ridge layer, n = {n}, σ²/τ² = {ratio:.3g}"
    checks.append(near(what, squares.mean(), expected, absolute=SE * errors, said=""))
    return Outcome(tuple(checks), arrays, {"d": D, "contexts": CONTEXTS[scale]}, seeds=(1,))


def draw_matched_ridge(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """The risk over the penalty, a curve a noise, above its least value."""
    axes = figure.subplots()
    for ratio, colour in zip(RATIOS, ramp(6)[1:], strict=False):
        risk = arrays[f"{ratio:.3g}"]
        axes.plot(arrays["penalty"], risk - risk.min(), color=colour, label=f"σ²/τ² = {ratio:.3g}")
        axes.plot(ratio, np.interp(ratio, arrays["penalty"], risk) - risk.min(), "o", color=colour)
    axes.set_xscale("log")
    axes.set_ylim(-0.001, 0.03)
    axes.set_xlabel("penalty λ of ridge regression")
    axes.set_ylabel("risk over d, above the least")
    axes.legend(frameon=False, title="points: λ = σ²/τ²")


PREDICTORS = (
    Claim(
        id="batch-step",
        statement="The predictor of one step of batch gradient descent is a layer of linear "
        "attention; the step size α there is η / 2n here.",
        place="Section 3, baselines in the released code",
        tolerance="float64 rounding; without the factor 2 it must be wrong by a per cent",
        measure=batch_step,
    ),
    Claim(
        id="matched-ridge",
        statement="Among ridge regressions the one with λ = σ²/τ² has the least risk, at every "
        "noise; it is what a Bayesian would predict.",
        place="Section 4, noisy data",
        tolerance=f"the argument of the minimum on the paper's grid; {SE:g} standard errors for "
        "the layer that is sampled",
        measure=matched_ridge,
        draw=draw_matched_ridge,
        caption="The risk of ridge regressions, from 1 to 7 examples in 8 dimensions.",
    ),
)
