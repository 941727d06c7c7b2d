r"""Logistic loss by hinges: an error that grows linearly with the layers (Theorems 7 and 13).

A derivative that is wrong by `eps` moves the weights by at most `eta eps B_x` a step, and steps of
a smooth convex loss do not spread what is wrong: `|w - w_GD| <= l eta eps B_x` after `l` steps.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy.special import expit

import innerloop as il
from innerloop import constructions
from innerloop.papers.claims import Outcome, Scale, at_most, near
from innerloop.report.canvas import QUIET, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, N, RATE, RADIUS = 3, 13, 2.0, 4.0
STEPS = (2, 5, 20)
INTERVALS = {"smoke": (8, 32), "small": (8, 16, 32, 64), "paper": (8, 16, 32, 64, 128, 256)}
FIRST = D + 2  # where a token carries its weights, after x, y and the constant


def descent(prompt: il.Prompt, steps: int) -> Float[np.ndarray, " d"]:
    """Descent on the logistic loss."""
    x, y, w = np.asarray(prompt.x), np.asarray(prompt.y)[:, 0], np.zeros(D)
    for _ in range(steps):
        w = w - RATE * x.T @ (expit(x @ w) - y) / len(x)
    return w


def theorem_7(scale: Scale) -> Outcome:
    """Errors of the weights beside their bound, by layers and by hinges."""
    rng = np.random.default_rng(44)
    x = rng.uniform(-1, 1, size=(N, D))
    y = (x @ np.array([1.0, -0.5, 0.3]) + 0.3 * rng.normal(size=N) > 0).astype(float)
    prompt = il.Prompt(x, y[:, None], rng.uniform(-1, 1, size=(1, D)))
    largest = np.linalg.norm(x, axis=1).max()
    intervals = INTERVALS[scale]
    errors, bounds = np.zeros((2, len(STEPS), len(intervals)))
    for i, steps in enumerate(STEPS):
        for j, count in enumerate(intervals):
            model = constructions.convex_gradient_descent(
                d=D,
                p=1,
                steps=steps,
                learning_rate=RATE,
                loss=constructions.logistic(RADIUS, count),
            )
            found = model.stream(prompt)[0, FIRST : FIRST + D]
            errors[i, j] = np.linalg.norm(found - descent(prompt, steps))
            eps = constructions.interpolation_error(constructions.SIGMOID_CURVATURE, RADIUS, count)
            bounds[i, j] = steps * RATE * eps * largest
    slope = np.polyfit(np.log(intervals), np.log(errors[-1]), 1)[0]
    smoothness = np.linalg.eigvalsh(x.T @ x / N).max() / 4
    checks = (
        at_most("largest error over its bound", float((errors / bounds).max()), 1.0),
        near("slope of the logarithm of the error by that of hinges", slope, -2.0, absolute=0.6,
             said=""),
        at_most("step size over 2 / smoothness", RATE * smoothness / 2, 1.0),
    )  # fmt: skip
    arrays = {"intervals": np.array(intervals), "errors": errors, "bounds": bounds}
    settings = {"d": D, "n": N, "eta": RATE, "radius": RADIUS}
    return Outcome(checks, arrays, settings, seeds=(44,))


def draw_theorem_7(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Errors and bounds over the number of hinges, for the first and the last depth."""
    axes, count = figure.subplots(), arrays["intervals"]
    for row, colour in ((0, TRAIN), (-1, TEST)):
        steps = STEPS[row]
        axes.plot(
            count, arrays["errors"][row], "o-", markersize=4, color=colour, label=f"{steps} steps"
        )
        axes.plot(count, arrays["bounds"][row], "--", color=colour, linewidth=1)
    axes.plot([], [], "--", color=QUIET, label="bounds")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("intervals of the sigmoid's interpolant")
    axes.set_ylabel("error of the weights")
    axes.legend(frameon=False)
