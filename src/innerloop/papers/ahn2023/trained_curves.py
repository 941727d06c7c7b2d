"""Trained losses by the number of examples and of layers (Figures 6 and 7).

Training is in whitened coordinates: with `A = R^-1 A' R^-1`, `B = R B' R^-1` and `R = Sigma^(1/2)`
predictions are those of `A'`, `B'` on whitened covariates, so families and losses are the same.
Only the optimiser sees the difference, and needs far fewer steps. Matrices are full, and start near
zero; the mean over tasks and queries is taken in closed form, from second moments of contexts.

The best scalars are found on `SPECTRA` spectra, and their losses, as those of trained layers, are
means over fresh contexts, the same for all.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from innerloop import constructions
from innerloop.constructions import whitened_spectra
from innerloop.models import Preconditioned
from innerloop.papers.claims import Check, Outcome, Scale, at_most, near
from innerloop.report.canvas import INK, TEST, TRAIN
from innerloop.tasks import LinearRegression
from innerloop.training import Optimizer, TrainingConfig, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, N, LAYERS = 5, 20, 3
SPECTRA = 100_000
LENGTHS = {"small": (2, 4, 8, 20), "paper": tuple(range(2, 23, 2))}
DEPTHS = (1, 2, 3, 4)


class Budget(NamedTuple):
    """Which seeds are trained, how long, and on how many contexts a step."""

    seeds: tuple[int, ...]
    steps: int
    batch: int


EXAMPLES = {
    "small": Budget((0, 1, 2), 1_200, 200),
    "paper": Budget((0, 1, 2, 3, 4), 8_000, 40_000),
}
DEPTH = {
    "small": Budget((0, 1, 2, 3, 4), 1_200, 200),
    "paper": Budget((0, 1, 2, 3, 4), 20_000, 20_000),
}


def trained(n: int, layers: int, budget: Budget) -> Float[np.ndarray, " seeds"]:
    """Logarithms of the losses of trained layers of family (11), a seed each."""
    config = TrainingConfig(
        steps=budget.steps,
        batch=budget.batch,
        loss="expected",
        optimizer=Optimizer(0.05, schedule="cosine", b2=0.95, clip=1.0),
        evaluate_every=budget.steps // 2,
        evaluation_prompts=20_000,
    )
    architecture = Preconditioned(layers, transforms_covariates=True, init_scale=0.01)
    run = train(architecture, LinearRegression(n=n, d=D, m=QUERIES), config, seeds=budget.seeds)
    return np.log(2 * run.held_out)


def scalars(rng: np.random.Generator, n: int, layers: int, *, transforms: bool) -> float:
    """The logarithm of the loss of the best scalars: of family (11), or of steps that are equal."""
    spectra = whitened_spectra(rng, prompts=SPECTRA, n=n, d=D)
    if not transforms:
        return float(np.log(constructions.best_schedule(spectra, layers).loss))
    starts = [
        np.concatenate(
            [np.log(np.geomspace(0.3, last, layers)), np.linspace(0.95, end, layers - 1)]
        )
        for last, end in (((5.0, 0.5), (20.0, 0.3)) if layers > 1 else ((0.8, 0.0),))
    ]
    best = constructions.best_spectral_steps(spectra, layers, transforms=True, starts=starts)
    return float(np.log(best.loss))


def figure_6(scale: Scale) -> Outcome:
    """Three layers for several numbers of examples."""
    rng, budget, lengths = np.random.default_rng(12), EXAMPLES[scale], LENGTHS[scale]
    found = np.array([trained(n, LAYERS, budget) for n in lengths])
    best = np.array([scalars(rng, n, LAYERS, transforms=True) for n in lengths])
    steps = np.array([scalars(rng, n, LAYERS, transforms=False) for n in lengths])
    checks = [
        at_most(f"n = {n}: trained less preconditioned steps", float(mean - other), 0.0)
        for n, mean, other in zip(lengths, found.mean(1), steps, strict=True)
    ]
    checks += _beside_the_best("n", lengths, found, best)
    arrays = {"n": np.array(lengths), "trained": found, "best": best, "steps": steps}
    return Outcome(tuple(checks), arrays, _settings(budget), seeds=budget.seeds)


def figure_7(scale: Scale) -> Outcome:
    """One to four layers, for 20 examples."""
    rng, budget = np.random.default_rng(13), DEPTH[scale]
    found = np.array([trained(N, layers, budget) for layers in DEPTHS])
    best = np.array([scalars(rng, N, layers, transforms=True) for layers in DEPTHS])
    steps = np.array([scalars(rng, N, layers, transforms=False) for layers in DEPTHS])
    means = found.mean(1)
    checks = [
        near("1 layer, beside one preconditioned step", means[0], steps[0], absolute=0.02),
        *(
            at_most(f"{layers} layers, logarithm of the loss", float(mean), bound)
            for layers, mean, bound in zip((2, 3, 4), means[1:], (-2.7, -7.0, -8.0), strict=True)
        ),
        *_beside_the_best("layers", DEPTHS[:3], found[:3], best[:3]),
    ]
    arrays = {"depth": np.array(DEPTHS), "trained": found, "best": best, "steps": steps}
    return Outcome(tuple(checks), arrays, _settings(budget), seeds=budget.seeds)


def _beside_the_best(
    what: str,
    places: Sequence[int],
    found: Float[np.ndarray, "k seeds"],
    best: Float[np.ndarray, " k"],
) -> list[Check]:
    return [
        near(
            f"{what} = {place}: logarithm of the loss, mean over seeds (standard deviation "
            f"{losses.std(ddof=1):.2g})",
            losses.mean(),
            value,
            absolute=0.05,
            said="",
        )
        for place, losses, value in zip(places, found, best, strict=True)
    ]


def _settings(budget: Budget) -> dict[str, int | float | str]:
    return {"d": D, "steps": budget.steps, "batch": budget.batch, "queries": QUERIES}


def _draw(figure: "Figure", arrays: Mapping[str, np.ndarray], key: str, label: str) -> None:
    axes, x = figure.subplots(), arrays[key]
    axes.plot(x, arrays["steps"], "o-", markersize=4, color=TRAIN, label="preconditioned steps")
    axes.plot(x, arrays["best"], "x--", color=INK, label="best scalars of family (11)")
    mean, spread = arrays["trained"].mean(1), arrays["trained"].std(1, ddof=1)
    axes.errorbar(x, mean, spread, fmt="o-", markersize=4, color=TEST, label="trained, family (11)")
    axes.set_xticks(x)
    axes.set_xlabel(label)
    axes.set_ylabel("logarithm of the expected squared error")
    axes.legend(frameon=False)


def draw_figure_6(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Losses over the number of examples."""
    _draw(figure, arrays, "n", "context examples n")


def draw_figure_7(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Losses over the number of layers."""
    _draw(figure, arrays, "depth", "layers, or steps")
