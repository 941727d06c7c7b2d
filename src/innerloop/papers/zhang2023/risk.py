"""Theorem 4.2: the risk on prompts of other lengths, with targets of any kind."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from innerloop.constructions import (
    gradient_flow_limit,
    preconditioned_gradient_descent,
    prompt_risk,
)
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, near
from innerloop.papers.linear_tasks import predictions
from innerloop.papers.zhang2023.setting import BATCH, LAMBDA, PROMPTS, RESTATED, SE, D, N
from innerloop.report.canvas import QUIET, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def risk(scale: Scale) -> Outcome:
    """The risk on prompts of other lengths with targets that are not linear, queries exactly."""
    rng, checks, rows = np.random.default_rng(2), [], []
    weights, bend, noise = np.array([1.0, -0.5, 0.8, 0.3]), 0.5, 0.3
    limit = gradient_flow_limit(LAMBDA, N)
    model = preconditioned_gradient_descent((limit.value * limit.key_query)[None], p=1)
    spread, linear_risk = _bent_moments(weights, bend, noise)
    for examples in (5, 20, 80):
        errors = []
        for _ in range(PROMPTS[scale] // BATCH):
            x = rng.normal(size=(BATCH, examples, D)) @ np.sqrt(LAMBDA)
            y = x @ weights[:, None] + bend * (x[..., :1] ** 2 - LAMBDA[0, 0])
            y = y + noise * rng.normal(size=y.shape)
            queries = np.broadcast_to(np.eye(D), (BATCH, D, D))
            wrong = predictions(model, x, y, queries)[..., 0] - weights
            errors.append(linear_risk + np.einsum("bi,ij,bj->b", wrong, LAMBDA, wrong))
        found = np.concatenate(errors)
        error = found.std() / np.sqrt(len(found))
        formula = prompt_risk(LAMBDA, N, examples, weights, spread, linear_risk)
        what = f"risk at M = {examples}"
        checks.append(near(what, found.mean(), formula, absolute=SE * error, said=""))
        rows.append((examples, found.mean(), error, formula))
    floor, shorter, longer = (
        prompt_risk(LAMBDA, n, 10**15, weights, spread, linear_risk) - linear_risk
        for n in (N, 10**3, 10**4)
    )
    checks.append(at_least("risk that stays for M → ∞, N = 10", floor, 1e-2, said="O(1 / N²)"))
    order = float(np.log10(longer / shorter))
    checks.append(near("its order in N, from 1,000 to 10,000", order, -2.0, absolute=0.02))
    lengths = np.arange(5, 81)
    curve = [prompt_risk(LAMBDA, N, m, weights, spread, linear_risk) for m in lengths.tolist()]
    arrays = {
        "curve": np.array([lengths, curve]),
        "risks": np.array(rows),
        "floor": np.array([floor + linear_risk, linear_risk]),
    }
    settings = {"N": N, "d": D, "prompts": PROMPTS[scale], "noise": noise, "bend": bend}
    return Outcome(tuple(checks), arrays, settings, seeds=(2,))


def _bent_moments(
    weights: Float[np.ndarray, " d"], bend: float, noise: float
) -> tuple[Float[np.ndarray, "d d"], float]:
    """The covariance of `y x` and the best linear risk, by quadrature that is exact here."""
    nodes, mass = np.polynomial.hermite_e.hermegauss(5)
    mass = mass / mass.sum()
    grid = np.stack(np.meshgrid(*[nodes] * D, indexing="ij"), -1).reshape(-1, D)
    probability = np.prod(np.stack(np.meshgrid(*[mass] * D, indexing="ij"), -1), -1).ravel()
    x = grid @ np.sqrt(LAMBDA)
    y = x @ weights + bend * (x[:, 0] ** 2 - LAMBDA[0, 0])
    second = np.einsum("g,gi,gj->ij", probability * (y**2 + noise**2), x, x)
    mean = (probability * y) @ x
    linear_risk = probability @ (y - x @ weights) ** 2 + noise**2
    return second - np.outer(mean, mean), float(linear_risk)


def draw_risk(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """The risk over the prompt's length."""
    axes = figure.subplots()
    examples, got, error, _ = arrays["risks"].T
    axes.loglog(*arrays["curve"], color=QUIET, label="formula")
    axes.errorbar(
        examples, got, yerr=SE * error, fmt="o", color=TEST, markersize=4, label="sampled"
    )
    axes.axhline(arrays["floor"][0], color=TRAIN, linestyle="--", label="M = ∞, N = 10")
    axes.axhline(arrays["floor"][1], color=QUIET, linestyle=":", label="best linear predictor")
    axes.set_xticks(examples, [f"{m:g}" for m in examples])
    low, high = axes.get_ylim()
    ticks = [t for t in (1, 2, 3, 5, 10, 20) if low <= t <= high]
    axes.set_yticks(ticks, [str(t) for t in ticks])
    axes.minorticks_off()
    axes.set_xlabel("examples M in the prompt")
    axes.set_ylabel("risk")
    axes.legend(frameon=False)


RISK = (
    Claim(
        id="risk",
        statement="On prompts of M examples with any targets the trained layer's risk is that "
        "of the best linear predictor, plus a variance over M, plus a bias over N².",
        place="Theorem 4.2",
        tolerance=f"{SE:g} standard errors; {RESTATED}",
        measure=risk,
        draw=draw_risk,
        caption="The risk of the layer trained for N = 10 examples, on quadratic targets with "
        f"noise, with {SE:g} standard errors.",
    ),
)
