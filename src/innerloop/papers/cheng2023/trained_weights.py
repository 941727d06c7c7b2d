"""Trained layers on covariates with a covariance: their matrices against the theory's set.

Linear scores on linear data with `x = Sigma^(1/2) xi`; all `A_l`, `B_l`, `C_l`, `r_l` are trained.
Only `B_l^T C_l` can be identified; `A_l` of the last layer is never read.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from innerloop.models import KernelAttention, KernelHeads
from innerloop.papers.claims import Outcome, Scale, at_least, at_most
from innerloop.papers.symmetry import distance_to_identity
from innerloop.report.canvas import QUIET, TEST, TRAIN
from innerloop.tasks import Covariates, GaussianProcess, rotated
from innerloop.training import Optimizer, TrainingConfig, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, N, LAYERS = 5, 8, 3
SEEDS = (0, 1, 2, 3, 4)
ROOT = rotated((1.0, 1.0, 0.25, 2.25, 1.0), seed=0)
STEPS = {"small": (50, 200, 1_500), "paper": (400, 2_000, 10_000, 40_000)}
"""Where curves have their points, the first of which divides the others; the last ends training."""
BATCH = {"small": 128, "paper": 30_000}


def distances(scale: Scale) -> Outcome:
    """Distances to multiples of the identity, through training and at its end."""
    products, whitened, moves = (np.stack(series) for series in zip(*_path(scale), strict=True))
    checks = (
        at_most(
            "Sigma^(1/2) B_l^T C_l Sigma^(1/2), largest layer, mean of 5 seeds",
            float(whitened[-1].mean(0).max()),
            0.15,
        ),
        at_most("A_l but the last, largest, mean of 5 seeds", float(moves[-1].mean(0).max()), 0.1),
        at_least("B_l^T C_l, smallest layer", float(products[-1].min()), 0.4),
    )
    arrays = {"step": np.array(STEPS[scale])}
    arrays |= {"products": products, "whitened": whitened, "moves": moves}
    settings = {"d": D, "n": N, "layers": LAYERS, "steps": STEPS[scale][-1], "batch": BATCH[scale]}
    return Outcome(checks, arrays, settings, seeds=SEEDS)


def _path(scale: Scale) -> list[tuple[Float[np.ndarray, "seeds l"], ...]]:
    """Distances of `B^T C`, of it whitened and of `A` to multiples of I, along a run."""
    first, *_, last = STEPS[scale]
    config = TrainingConfig(
        steps=last,
        batch=BATCH[scale],
        loss="expected",
        optimizer=Optimizer(0.03, schedule="cosine", b2=0.95, clip=0.5),
        evaluate_every=first,
        evaluation_prompts=100,
    )
    task = GaussianProcess(n=N, d=D, covariates=Covariates("sphere", mixing=ROOT))
    architecture = KernelHeads(LAYERS, ("linear",), init_scale=0.05)
    path = []

    def observe(step: int, models: Any) -> None:
        if step in STEPS[scale]:
            path.append(_distances(models))

    train(architecture, task, config, seeds=SEEDS, observe=observe)
    return path


def _distances(models: KernelAttention) -> tuple[Float[np.ndarray, "seeds l"], ...]:
    a, b, c = (np.asarray(m)[:, :, 0] for m in (models.A, models.B, models.C))
    products, root = np.swapaxes(b, -1, -2) @ c, np.array(ROOT)
    every = (products, root @ products @ root, a[:, :-1])
    return tuple(distance_to_identity(matrices) for matrices in every)


def draw_distances(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Distances over training, a curve a layer."""
    axes = figure.subplots()
    styles = {
        "products": ("s-", TRAIN, r"$B^T C$"),
        "whitened": ("o-", TEST, r"$\Sigma^{1/2} B^T C \Sigma^{1/2}$"),
        "moves": ("^-", QUIET, "A, but the last"),
    }
    for name, (mark, colour, label) in styles.items():
        for layer in range(arrays[name].shape[2]):
            mean, spread = (f(arrays[name][:, :, layer], axis=1) for f in (np.mean, np.std))
            shown = {"label": label if layer == 0 else None, "color": colour, "markersize": 4}
            axes.errorbar(arrays["step"], mean, spread, fmt=mark, **shown)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("steps of training")
    axes.set_ylabel("distance to multiples of I")
    axes.legend(frameon=False)
