r"""What attention loses as layers are added, with scores that match the process and with others.

No training: covariates stay, every layer has the same step, and the step is the best of a grid for
each number of layers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

import innerloop as il
from innerloop.constructions import KernelHead, functional_gradient_descent
from innerloop.papers.cheng2023.processes import (
    D,
    Process,
    best_losses,
    iterated,
    process,
    rates_for,
    scores,
)
from innerloop.papers.claims import Outcome, Scale, at_least, at_most, near
from innerloop.report.canvas import INK, QUIET, REGISTER, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONTEXTS = {"smoke": 300, "small": 1_500, "paper": 20_000}
RATES = {"smoke": 20, "small": 30, "paper": 60}
DEPTHS = (1, 3, 5, 7, 20, 100)
SCORES = ("linear", "relu", "exp", "softmax")
LENGTHS = {"linear": 8, "relu": 14, "exp": 14, "sum": 14}
CHECKED = 10
SE = 4.5
FIRST, LAST = np.eye(D)[:2], np.eye(D)[2:]
HALF = 0.5**0.5
HEADS = {
    "linear": [KernelHead(il.Kernel("linear"))],
    "relu": [KernelHead(il.Kernel("relu"))],
    "exp": [KernelHead(il.Kernel("exp"), key=HALF * np.eye(D))],
    "softmax": [KernelHead(il.Kernel("softmax"))],
    "sum": [
        KernelHead(il.Kernel("exp"), key=HALF * FIRST),
        KernelHead(il.Kernel("linear"), key=LAST),
    ],
}


def answers(given: Process, name: str, rate: float, steps: int) -> Float[np.ndarray, "b n"]:
    """What the transformer multiplies each target with: its answers to targets of unit vectors."""
    eta = rate if name == "softmax" else rate * given.n
    model = functional_gradient_descent(
        HEADS[name], d=D, p=given.n, steps=steps, learning_rate=float(eta)
    )
    unit = np.eye(given.n)
    return np.stack([model(il.Prompt(x[:-1], unit, x[-1:]))[0] for x in given.x[:CHECKED]])


def proposition_2(scale: Scale) -> Outcome:
    """Matched scores on data of exp, one step size for all contexts."""
    rng = np.random.default_rng(25)
    given = process(rng, "exp", 14, CONTEXTS[scale])
    s, basis = np.linalg.eigh(given.covariance[:, :-1, :-1])
    query = np.einsum("bi,bij->bj", given.covariance[:, -1, :-1], basis)
    rate = 1 / s.max()

    def closed(depth: int) -> Float[np.ndarray, " b"]:
        """`k_qq - k_q^T K^{-1} (I - (I - r K)^(2 L)) k_q`."""
        explained = np.sum(query**2 * (1 - (1 - rate * s) ** (2 * depth)) / s, axis=1)
        return given.covariance[:, -1, -1] - explained

    depths = (1, 2, 5, 20, 100)
    found = iterated(given, "exp", rate, depths)
    losses = np.array([given.losses(m) for m in found])
    weights = np.abs(answers(given, "exp", rate, 100) - found[-1][:CHECKED]).max()
    few, best_rates = best_losses(given, "linear", (100,), rates_for(given, "linear", RATES[scale]))
    deep, bayes = closed(10**6), given.bayes
    apart = max(np.abs(a - closed(k)).max() for a, k in zip(losses, depths, strict=True))
    checks = (
        at_most("answers of 100 layers less the iteration", weights, 1e-10),
        at_most("losses less the closed form", float(apart), 1e-10),
        at_most("mean loss over that of the depth before, largest", _ratio(losses.mean(1)), 1.0),
        at_most("logarithm of the loss of 100 layers", float(np.log(losses[-1].mean())), -1.8),
        near("mean loss of 10^6 layers, Bayes", deep.mean(), bayes.mean(), relative=1e-3),
        at_least("least loss of linear scores, logarithm", float(np.log(few[0])), 0.2),
    )
    settings = {"d": D, "n": 14, "contexts": CONTEXTS[scale], "linear rate": float(best_rates[0])}
    return Outcome(checks, {}, settings, seeds=(25,))


def _ratio(losses: np.ndarray) -> float:
    return float((losses[1:] / losses[:-1]).max())


def matched(scale: Scale) -> Outcome:
    """Least losses of constant steps, for four processes and all scores."""
    rng = np.random.default_rng(26)
    arrays: dict[str, np.ndarray] = {"depths": np.array(DEPTHS)}
    table: dict[tuple[str, str], np.ndarray] = {}
    checks = []
    for name, n in LENGTHS.items():
        given = process(rng, name, n, CONTEXTS[scale])
        arrays[f"{name}, Bayes"] = np.array(np.log(max(given.bayes.mean(), 1e-12)))
        for score in (*SCORES, *(("sum",) if name == "sum" else ())):
            rates = rates_for(given, score, RATES[scale])
            losses, best = best_losses(given, score, DEPTHS, rates)
            table[name, score] = arrays[f"{name}, {score}"] = np.log(losses)
            if score == name:
                theirs = iterated(given, score, best[2], (5,))[0]
                weights = np.abs(answers(given, score, best[2], 5) - theirs[:CHECKED]).max()
                checks.append(at_most(f"{name}: answers of 5 layers", float(weights), 1e-10))
    for name in ("linear", "relu", "sum"):
        others = min(table[name, score][-1] for score in SCORES if score != name)
        lead = float(others - table[name, name][-1])
        checks.append(at_least(f"{name}: lead of matched scores, 100 layers", lead, 0.05))
    others = min(table["exp", score][-1] for score in ("linear", "relu"))
    lead = float(others - table["exp", "exp"][-1])
    checks.append(at_least("exp: lead over linear and ReLU, 100 layers", lead, 0.05))
    for other in ("relu", "softmax"):
        lead = float(table["exp", "exp"][1] - table["exp", other][1])
        checks.append(at_least(f"exp: lead of {other} over matched, 3 layers", lead, 0.2))
    behind = float(table["exp", "exp"][-1] - table["exp", "softmax"][-1])
    checks.append(at_least("exp: lead of softmax over matched, 100 layers", behind, 0.0))
    settings = {"d": D, "contexts": CONTEXTS[scale], "rates": RATES[scale]}
    return Outcome(tuple(checks), arrays, settings, seeds=(26,))


def draw_matched(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Logarithms of losses over depth, a panel a process."""
    colours = {"linear": QUIET, "relu": TRAIN, "exp": TEST, "softmax": INK, "sum": REGISTER}
    titles = {"linear": "linear", "relu": "ReLU", "exp": "exp", "sum": "exp + linear"}
    panels = figure.subplots(2, 2, sharex=True)
    for axes, (name, title) in zip(panels.ravel(), titles.items(), strict=True):
        for score, colour in colours.items():
            if f"{name}, {score}" in arrays:
                thick = 2.4 if score == name else 1.2
                axes.plot(
                    arrays["depths"],
                    arrays[f"{name}, {score}"],
                    "o-",
                    markersize=3,
                    color=colour,
                    linewidth=thick,
                    label=titles.get(score, score),
                )
        if name != "linear":
            axes.axhline(float(arrays[f"{name}, Bayes"]), color=INK, linestyle=":", linewidth=1)
        axes.set_title(f"{title} data, n = {LENGTHS[name]}", fontsize=9)
        axes.set_xscale("log")
    for axes in panels[-1]:
        axes.set_xlabel("layers")
    for axes in panels[:, 0]:
        axes.set_ylabel("logarithm of the loss")
    handles, labels = panels[1, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, title="scores")


def relu_limit(scale: Scale) -> Outcome:
    """Matched ReLU scores on data of ReLU: tuned, diverging, and where the kernel is positive."""
    rng = np.random.default_rng(27)
    given = process(rng, "relu", 14, CONTEXTS[scale])
    tuned, _ = best_losses(given, "relu", (100,), rates_for(given, "relu", RATES[scale]))
    gap = float(np.log(tuned[0]) - np.log(given.bayes.mean()))
    eigenvalues = np.linalg.eigvalsh(scores(given.x, "relu")[:, :-1, :-1])
    early, late = (
        given.losses(m).mean() for m in iterated(given, "relu", 1 / eigenvalues.max(), (200, 1000))
    )
    few = process(rng, "relu", 4, 40 * CHECKED)
    positive = np.linalg.eigvalsh(scores(few.x, "relu"))[:, 0] > 0.1
    kept = Process(few.x[positive], few.covariance[positive])
    chosen = Process(kept.x[:CHECKED], kept.covariance[:CHECKED])
    found = chosen.losses(answers(chosen, "relu", 0.4, 1000))
    checks = (
        at_least("tuned loss of 100 layers over Bayes, n = 14, logarithm", gap, 0.3),
        at_least(
            "loss of 1000 layers over that of 200, one step for all", float(late / early), 1e3
        ),
        at_most(
            "loss of 1000 layers less Bayes, contexts of positive kernels, n = 4",
            float(np.abs(found - chosen.bayes).max()),
            1e-8,
        ),
    )
    return Outcome(checks, {}, {"d": D, "contexts": CONTEXTS[scale]}, seeds=(27,))


def released_layer(scale: Scale) -> Outcome:
    """The best single layer of linear attention on linear data, n = 8."""
    rng = np.random.default_rng(28)
    n = 8
    given = process(rng, "linear", n, 10 * CONTEXTS[scale])
    rate = 1 / (1 + (n - 1) / D)
    losses = given.losses(rate * given.covariance[:, -1, :-1])
    weights = answers(given, "linear", rate, 1)
    apart = np.abs(weights - rate * given.covariance[:CHECKED, -1, :-1]).max()
    error = SE * losses.std() / len(losses) ** 0.5
    checks = (
        at_most("answers of the layer less the formula", float(apart), 1e-12),
        near("loss with the best step", losses.mean(), 1 / 3, absolute=error, said=""),
        at_least("released curve over it, logarithm", -0.15 - float(np.log(losses.mean())), 0.8),
    )
    return Outcome(checks, {}, {"d": D, "n": n, "contexts": len(losses)}, seeds=(28,))
