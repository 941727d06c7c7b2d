r"""The weights that training arrives at, by optimising a few scalars (Figures 2, 4 and 5).

On the sets of Theorems 3 and 4 the expected loss is that of one polynomial an eigenvalue; see
`innerloop.constructions.spectral_residuals`. Its minimum is what a trained transformer of the
sparse families can reach there.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from innerloop import constructions
from innerloop.constructions import SpectralOptimum, spectral_residuals, whitened_spectra
from innerloop.papers.claims import Outcome, Scale, at_least, at_most, near
from innerloop.papers.sampled_loss import loss_of_weights
from innerloop.report.canvas import FAINT, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, N, LAYERS = 5, 20, 3
SPECTRA = {"smoke": 12_000, "small": 40_000, "paper": 400_000}
PROMPTS = {"smoke": 2_000, "small": 20_000, "paper": 200_000}
PRINTED_STEPS = (0.42, 0.69, 1.71)
PRINTED = SpectralOptimum(np.array([0.38, 2.40, 9.55]), np.array([0.90, 0.57, 0.0]), np.nan)


def best(spectra: np.ndarray, *, transforms: bool) -> SpectralOptimum:
    """The best scalars of three layers; with transforms, from starts of several last steps."""
    starts = [
        np.concatenate([np.log(np.geomspace(0.4, last, LAYERS)), np.array([0.9, 0.6])])
        for last in ((5, 15) if transforms else (2,))
    ]
    return constructions.best_spectral_steps(spectra, LAYERS, transforms=transforms, starts=starts)


def residual(spectra: np.ndarray, weights: SpectralOptimum) -> np.ndarray:
    """What the last layer leaves at eigenvalues."""
    return np.asarray(spectral_residuals(spectra, weights.steps, weights.transforms)[-1])


def figure_2(scale: Scale) -> Outcome:
    """Three layers of family (8)."""
    rng = np.random.default_rng(8)
    found = best(whitened_spectra(rng, prompts=SPECTRA[scale], n=N, d=D), transforms=False)
    checks = [
        near(f"a_{k}, in order of size", float(a), said, relative=0.03)
        for k, (a, said) in enumerate(zip(found.steps, PRINTED_STEPS, strict=True))
    ]
    checks.append(loss_of_weights(found, rng, prompts=PROMPTS[scale], n=N, d=D))
    settings = {"d": D, "n": N, "layers": LAYERS, "spectra": SPECTRA[scale]}
    return Outcome(tuple(checks), {"steps": found.steps}, settings, seeds=(8,))


def figure_4(scale: Scale) -> Outcome:
    """Three layers of family (11) for 20 examples and for 10, beside the figures' weights."""
    rng = np.random.default_rng(9)
    spectra = {n: whitened_spectra(rng, prompts=SPECTRA[scale], n=n, d=D) for n in (20, 10)}
    found = {n: best(s, transforms=True) for n, s in spectra.items()}
    excess = {}
    for n in spectra:
        fresh = whitened_spectra(rng, prompts=4 * SPECTRA[scale], n=n, d=D)
        excess[n] = float(np.mean(np.sum(residual(fresh, PRINTED) ** 2, axis=1))) / found[n].loss
    names = ("a_0", "a_1", "a_2", "b_0", "b_1")
    ours = np.concatenate([found[20].steps, found[20].transforms])
    theirs = np.concatenate([PRINTED.steps, PRINTED.transforms])
    checks = [
        near(f"{name} for n = 20", float(a), float(b), relative=0.03)
        for name, a, b in zip(names, ours, theirs, strict=False)
    ]
    checks += [
        at_most("loss of the figures' weights over the least, n = 20", excess[20], 1.5),
        at_least("loss of the figures' weights over the least, n = 10", excess[10], 20.0),
        at_most("a_0 for n = 10", float(found[10].steps[0]), 0.33),
        at_least("a_2 for n = 10", float(found[10].steps[2]), 11.0),
        loss_of_weights(found[20], rng, prompts=PROMPTS[scale], n=N, d=D),
    ]
    grid = np.linspace(0.0, 3.2, 300)
    descent = best(spectra[20], transforms=False)
    arrays = {
        "eigenvalues": grid,
        "descent": residual(grid[:, None], descent)[:, 0],
        "gd_plus_plus": residual(grid[:, None], found[20])[:, 0],
        "density": np.histogram(spectra[20], bins=64, range=(0.0, 3.2), density=True)[0],
    }
    settings = {"d": D, "layers": LAYERS, "spectra": SPECTRA[scale]}
    return Outcome(tuple(checks), arrays, settings, seeds=(9,))


def draw_figure_4(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """What three layers leave of the error, over where eigenvalues are."""
    axes = figure.subplots()
    edges = np.linspace(0.0, 3.2, len(arrays["density"]) + 1)
    axes.stairs(arrays["density"], edges, fill=True, color=FAINT, label="density of s, n = 20")
    axes.plot(arrays["eigenvalues"], np.abs(arrays["descent"]), color=TRAIN, label="family (8)")
    axes.plot(
        arrays["eigenvalues"], np.abs(arrays["gd_plus_plus"]), color=TEST, label="family (11)"
    )
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("eigenvalue s of the whitened second moment")
    axes.set_ylabel("what is left of the error, |p(s)|")
    axes.legend(frameon=False)
