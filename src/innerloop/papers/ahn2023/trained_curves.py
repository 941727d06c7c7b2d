"""Trained losses by the number of examples and of layers (Figures 6 and 7).

Training is in whitened coordinates: with `A = R^-1 A' R^-1`, `B = R B' R^-1` and `R = Sigma^(1/2)`
predictions are those of `A'`, `B'` on whitened covariates, so families and losses are the same.
Only the optimiser sees the difference, and needs far fewer steps. Matrices are full, and start near
zero; the mean over tasks and queries is taken in closed form, from second moments of contexts.

With few examples rare contexts rule the mean loss, so that its mean over 20,000 contexts says
little, and weights that are best on one sample are orders of magnitude off on the next. For up to
`FEW` examples half of the contexts are stretched, and weighted for it, which leaves all means as
they are (`innerloop.training.second_moments`). The best scalars are found on `SPECTRA` contexts of
this kind. Their losses, and those of trained layers, are means over the same fresh ones.

Where a seed ends hangs on the largest step size: the loss has several minima, and at 0.1 two seeds
of five stay at a worse one with two layers, at 0.2 none. Four layers explode at 0.2, as do three on
two examples.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
import scipy.optimize
from jaxtyping import Float

from innerloop import constructions
from innerloop.models import Preconditioned
from innerloop.papers.claims import Check, Outcome, Scale, at_most, near
from innerloop.report.canvas import INK, TEST, TRAIN
from innerloop.tasks import LinearRegression
from innerloop.training import Contexts, Optimizer, TrainingConfig, second_moments, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, N, LAYERS = 5, 20, 3
SCALARS = 12  # the seed of the contexts that scalars are found on
SPECTRA, FRESH = 50_000, 20_000
FEW, STRETCHES = 10, (2.0, 4.0, 8.0)
LENGTHS = {"small": (2, 4, 8, 20), "paper": tuple(range(2, 23, 2))}
DEPTHS = (1, 2, 3, 4)


class Budget(NamedTuple):
    """Which seeds are trained, how long, and on how many contexts a step."""

    seeds: tuple[int, ...]
    steps: int
    batch: int


EXAMPLES = {
    "small": Budget((0, 1, 2, 3, 4), 1_200, 200),
    "paper": Budget((0, 1, 2, 3, 4), 8_000, 40_000),
}
DEPTH = {
    "small": Budget((0, 1, 2, 3, 4), 2_000, 128),
    "paper": Budget((0, 1, 2, 3, 4), 20_000, 20_000),
}


class Losses(NamedTuple):
    """Logarithms of expected losses, on the same fresh contexts."""

    trained: Float[np.ndarray, " seeds"]
    best: float  # of the scalars of family (11)
    steps: float  # of steps of one size


def losses(n: int, layers: int, budget: Budget) -> Losses:
    """Layers of family (11), trained from each seed, beside what scalars reach."""
    task = LinearRegression(n=n, d=D)
    rate = 0.05 if n == 2 else 0.1 if layers == 4 else 0.2
    config = TrainingConfig(
        steps=budget.steps,
        batch=budget.batch,
        loss="moments",
        optimizer=Optimizer(rate, schedule="cosine", warmup=200, b2=0.95, clip=1.0),
        evaluate_every=budget.steps // 2,
        evaluation_prompts=FRESH,
        stretches=STRETCHES if n <= FEW else (),
    )
    architecture = Preconditioned(layers, transforms_covariates=True, init_scale=0.01)
    run = train(architecture, task, config, seeds=budget.seeds)
    key = jax.random.key(SCALARS)
    found_on = second_moments(task, SPECTRA, key=key, stretches=config.stretches)
    fresh = second_moments(
        task, FRESH, key=jax.random.key(config.evaluation_seed), stretches=config.stretches
    )
    best, steps = scalars(found_on, fresh, layers)
    return Losses(np.log(2 * run.held_out), best, steps)


def scalars(found_on: Contexts, fresh: Contexts, layers: int) -> tuple[float, float]:
    """Logarithms of losses on fresh contexts, of the best scalars and the best equal steps."""
    spectra, weights = spectra_of(found_on)
    starts = [
        np.concatenate(
            [np.log(np.geomspace(0.3, last, layers)), np.linspace(0.95, end, layers - 1)]
        )
        for last, end in (((5.0, 0.5), (20.0, 0.3)) if layers > 1 else ((0.8, 0.0),))
    ]
    best = constructions.best_spectral_steps(
        spectra, layers, transforms=True, starts=starts, weights=weights
    )

    def equal(rate: float, contexts: tuple[np.ndarray, np.ndarray]) -> float:
        eigenvalues, counts = contexts
        return float(np.mean(counts * np.sum((1 - rate * eigenvalues) ** (2 * layers), axis=1)))

    size = np.asarray(scipy.optimize.fminbound(equal, 1e-3, 3.0, args=((spectra, weights),)))
    spectra, weights = spectra_of(fresh)
    left = constructions.spectral_residuals(spectra, best.steps, best.transforms)[-1]
    loss = float(np.mean(weights * np.sum(np.asarray(left) ** 2, axis=1)))
    return float(np.log(loss)), float(np.log(equal(size.item(), (spectra, weights))))


def spectra_of(
    contexts: Contexts,
) -> tuple[Float[np.ndarray, "b d"], Float[np.ndarray, " b"]]:
    """Eigenvalues of contexts, and what each counts, in float64."""
    moments = np.moveaxis(np.asarray(contexts.moments, float), -1, 0)
    return np.linalg.eigvalsh(moments), np.asarray(contexts.weights, float)


def figure_6(scale: Scale) -> Outcome:
    """Three layers for several numbers of examples."""
    budget, lengths = EXAMPLES[scale], LENGTHS[scale]
    found = [losses(n, LAYERS, budget) for n in lengths]
    checks = [
        at_most(f"n = {n}: trained less preconditioned steps", one.trained.mean() - one.steps, 0.0)
        for n, one in zip(lengths, found, strict=True)
    ]
    checks += _beside_the_best("n", lengths, found)
    return Outcome(tuple(checks), _arrays("n", lengths, found), _settings(budget), budget.seeds)


def figure_7(scale: Scale) -> Outcome:
    """One to four layers, for 20 examples."""
    budget = DEPTH[scale]
    found = [losses(N, layers, budget) for layers in DEPTHS]
    means = [one.trained.mean() for one in found]
    checks = [
        near("1 layer, beside one preconditioned step", means[0], found[0].steps, absolute=0.02),
        *(
            at_most(f"{layers} layers, logarithm of the loss", float(mean), bound)
            for layers, mean, bound in zip((2, 3, 4), means[1:], (-2.7, -7.0, -8.0), strict=True)
        ),
        *_beside_the_best("layers", DEPTHS[:3], found[:3]),
    ]
    arrays = _arrays("depth", DEPTHS, found)
    return Outcome(tuple(checks), arrays, _settings(budget), seeds=budget.seeds)


def _arrays(key: str, places: Sequence[int], found: Sequence[Losses]) -> dict[str, np.ndarray]:
    columns = {name: np.array([getattr(one, name) for one in found]) for name in Losses._fields}
    return {key: np.array(places), **columns}


def _beside_the_best(what: str, places: Sequence[int], found: Sequence[Losses]) -> list[Check]:
    return [
        near(
            f"{what} = {place}: logarithm of the loss, mean over seeds (standard deviation "
            f"{one.trained.std(ddof=1):.2g})",
            one.trained.mean(),
            one.best,
            absolute=0.05,
            said="",
        )
        for place, one in zip(places, found, strict=True)
    ]


def _settings(budget: Budget) -> dict[str, int | float | str]:
    return {"d": D, "steps": budget.steps, "batch": budget.batch}


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
