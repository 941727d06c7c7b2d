r"""Choosing an algorithm by validation in context (Section 4.1, Theorem 11).

Ridge regressions of several penalties run side by side on the first examples of the context; losses
on the last examples decide which of them, or which mixture, answers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import innerloop as il
from innerloop import constructions
from innerloop.papers.claims import Outcome, Scale, at_least, at_most
from innerloop.report.canvas import INK, QUIET, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, TRAINING, VALIDATION, STEPS, RATE = 6, 12, 12, 40, 0.15
PENALTIES = (0.01, 2.0)
NOISES = (0.0, 0.5, 1.0, 1.5, 2.0)
PROMPTS = {"smoke": 100, "small": 800, "paper": 8_000}
RESOLUTIONS = (1e-6, 0.3)


def candidates(x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, "b k d"]:
    """Descent of every ridge regression on the first examples."""
    x, y = x[:, :TRAINING], y[:, :TRAINING]
    moment = np.einsum("bni,bnj->bij", x, x) / TRAINING
    target = np.einsum("bni,bn->bi", x, y) / TRAINING
    found = []
    for penalty in PENALTIES:
        w = np.zeros_like(target)
        for _ in range(STEPS):
            w = w - RATE * (np.einsum("bij,bj->bi", moment, w) - target + penalty * w)
        found.append(w)
    return np.stack(found, axis=1)


def shares(losses: Float[np.ndarray, "b k"], resolution: float) -> Float[np.ndarray, "b k"]:
    """The printed mixture: `c`, `u`, and `lambda` from validation losses."""
    c = np.maximum(losses[:, :, None] - losses[:, None], 0).sum(axis=2)
    u = np.maximum(1 - c / resolution, 0)
    total = np.concatenate([np.zeros((len(u), 1)), np.cumsum(u, axis=1)], axis=1)
    return np.maximum(1 - total[:, :-1], 0) - np.maximum(1 - total[:, 1:], 0)


def theorem_11(scale: Scale) -> Outcome:
    """Answers beside the printed mixture, its guarantee, and risks by the noise of the labels."""
    rng = np.random.default_rng(45)
    count = PROMPTS[scale]
    networks = [_network(resolution) for resolution in RESOLUTIONS]
    apart, excess, kept = 0.0, -np.inf, 0.0
    risks, errors, fixed = [], [], []
    for noise in NOISES:
        x = rng.normal(size=(count, TRAINING + VALIDATION, D))
        w = rng.normal(size=(count, D)) / D**0.5
        y = np.einsum("bnd,bd->bn", x, w) + noise * rng.normal(size=x.shape[:2])
        xq = np.concatenate([rng.normal(size=(count, 1, D)), x[:, TRAINING:]], axis=1)
        every = candidates(x, y)
        answers = np.einsum("bkd,bmd->bkm", every, xq)
        losses = ((answers[:, :, 1:] - y[:, None, TRAINING:]) ** 2).mean(axis=2) / 2
        for resolution, network in zip(RESOLUTIONS, networks, strict=True):
            found = np.asarray(network(jnp.asarray(x), jnp.asarray(y), jnp.asarray(xq)))
            mixture = shares(losses, resolution)
            expected = np.einsum("bk,bkm->bm", mixture, answers)
            apart = max(apart, float(np.abs(found - expected).max()))
            loss = ((found[:, 1:] - y[:, TRAINING:]) ** 2).mean(axis=1) / 2
            excess = max(excess, float((loss - losses.min(axis=1)).max() / resolution))
            if resolution == min(RESOLUTIONS):
                truth = np.einsum("bd,bd->b", xq[:, 0], w)
                squares = (found[:, 0] - truth) ** 2
                risks.append(squares.mean())
                errors.append(squares.std() / count**0.5)
                alone = (answers[:, :, 0] - truth[:, None]) ** 2
                fixed.append(alone.mean(axis=0))
    risk, alone = np.array(risks), np.array(fixed)
    ends = [0, -1]
    best, worst = alone.min(axis=1), alone.max(axis=1)
    kept = float(((risk - best) / (worst - best))[ends].max())
    wins = alone.argmin(axis=1)
    checks = (
        at_most("answers less the printed mixture", apart, 1e-7),
        at_most("validation loss less the least, over the resolution", excess, 1.0 + 1e-6),
        at_most("share of the way from the best to the worst risk, end noises", kept, 0.5),
        at_least("best algorithm at most noise less that at none", float(wins[-1] - wins[0]), 1.0),
    )
    arrays = {"noise": np.array(NOISES), "risk": risk, "error": np.array(errors), "alone": alone}
    settings = {"d": D, "training": TRAINING, "validation": VALIDATION, "steps": STEPS}
    return Outcome(checks, arrays, settings | {"prompts": count}, seeds=(45,))


def _network(resolution: float):
    model = constructions.select_ridge(
        PENALTIES,
        d=D,
        training=TRAINING,
        validation=VALIDATION,
        steps=STEPS,
        learning_rate=RATE,
        resolution=resolution,
    )
    return jax.jit(jax.vmap(lambda x, y, xq: model(il.Prompt(x, y[:, None], xq))[:, 0]))


def draw_theorem_11(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Risks over the noise of the labels."""
    axes, noise = figure.subplots(), arrays["noise"]
    for k, (penalty, colour) in enumerate(zip(PENALTIES, (TRAIN, QUIET), strict=True)):
        name = f"ridge, penalty {penalty:g}"
        axes.plot(noise, arrays["alone"][:, k], "s--", markersize=4, color=colour, label=name)
    bars = {"yerr": 2 * arrays["error"], "fmt": "o-", "markersize": 4, "color": TEST}
    axes.errorbar(noise, arrays["risk"], **bars, label="the network's choice", ecolor=INK)
    axes.set_xlabel("standard deviation of the labels' noise")
    axes.set_ylabel("squared error at a query, without noise")
    axes.legend(frameon=False)
