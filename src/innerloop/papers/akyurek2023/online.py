"""Theorems 1 and 2: steps of SGD and of Sherman and Morrison in a constant number of layers."""

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from innerloop.constructions import online_gradient_descent, sherman_morrison
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most, near
from innerloop.prompts import Prompt
from innerloop.report.canvas import QUIET, TEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, P, EXAMPLES, RATE = 3, 1, 7, 0.1
DECAY, PENALTY = 0.3, 0.5
DEPTHS = (1, 2, 5)
DELTAS = (1e-1, 1e-2, 1e-3)
WIDTHS = (3, 6, 9, 12)
HINGES = {"smoke": (32, 128), "small": (16, 32, 64, 128, 256, 512)}
HINGES["paper"] = (*HINGES["small"], 1024, 2048)
SGD = {"d": D, "p": P, "examples": EXAMPLES, "learning_rate": RATE, "penalty": DECAY}
NEWTON = {"d": D, "p": P, "examples": EXAMPLES, "penalty": PENALTY, "largest": 6.0}


def sampled(rng: np.random.Generator) -> Prompt:
    """Noisy linear targets; a last covariate that these constructions do not read."""
    x, xq = rng.uniform(-1, 1, size=(EXAMPLES, D)), rng.uniform(-1, 1, size=(5, D))
    y = x @ rng.normal(size=(D, P)) + 0.3 * rng.normal(size=(EXAMPLES, P))
    zeros = np.zeros((EXAMPLES, 1))
    return Prompt(np.hstack([x, zeros]), y, np.hstack([xq, zeros[:5]]))


def gradient_steps(scale: Scale) -> Outcome:
    """SGD on the ridge objective, an example a step, as GeLU's arguments shrink."""
    del scale
    rng, checks = np.random.default_rng(0), []
    prompt = sampled(rng)
    for steps in DEPTHS:
        w = np.zeros((P, D))
        for x, y in zip(prompt.x[:steps, :D], prompt.y[:steps], strict=True):
            w = w - 2 * RATE * (np.outer(w @ x - y, x) + DECAY * w)
        expected = prompt.xq[:, :D] @ w.T
        models = [online_gradient_descent(**SGD, steps=steps, delta=delta) for delta in DELTAS]
        errors = [np.abs(model(prompt) - expected).max() for model in models]
        slope = np.polyfit(np.log(DELTAS), np.log(errors), 1)[0]
        checks.append(near(f"order of the error in δ, {steps} steps", slope, 2.0, absolute=0.1))
        checks.append(at_most(f"error at δ = 0.001, {steps} steps", errors[-1], 1e-5))
        layers = (models[0].depth - 1) / steps
        checks.append(near(f"layers a step, {steps} steps", layers, 2.0, said="O(1)"))
    settings = {"steps": 1, "learning_rate": RATE, "penalty": DECAY, "delta": 1e-2}
    widths = [
        float(online_gradient_descent(d=d, p=1, examples=EXAMPLES, **settings).width)
        for d in WIDTHS
    ]
    bend = np.abs(np.diff(widths, 2)).max()
    checks.append(at_most("second difference of the width in d", bend, 0.0, said="O(d)"))
    checks.append(at_least("first difference", np.diff(widths).min(), 1.0))
    return Outcome(tuple(checks), settings={"d": D, "examples": EXAMPLES}, seeds=(0,))


def newton_steps(scale: Scale) -> Outcome:
    """Sherman and Morrison against ridge regression on the examples that were read."""
    rng, checks, counts = np.random.default_rng(1), [], HINGES[scale]
    prompt = sampled(rng)
    for steps in DEPTHS:
        model = sherman_morrison(**NEWTON, steps=steps, hinges=counts[-1])
        error = np.abs(model(prompt) - _ridge(prompt, steps)).max()
        bound = _worst(prompt, steps, counts[-1])
        checks.append(at_most(f"error over its bound, {steps} examples", error / bound, 1.0))
        layers = (model.depth - 1) / steps
        checks.append(near(f"layers a step, {steps} examples", layers, 5.0, said="O(1)"))
        short = np.abs(model(prompt) - _ridge(prompt, steps + 1)).max()
        checks.append(at_least(f"its distance from ridge on {steps + 1} examples", short, 1e-2))
    models = [sherman_morrison(**NEWTON, steps=2, hinges=count) for count in counts]
    errors = np.array([np.abs(m(prompt) - _ridge(prompt, 2)).max() for m in models])
    bounds = np.array([_worst(prompt, 2, count) for count in counts])
    what = "largest error over its bound, any number of hinges, 2 examples"
    checks.append(at_most(what, np.max(errors / bounds), 1.0))
    settings = {"steps": 1, "penalty": PENALTY, "largest": 6.0, "hinges": 4}
    widths = [
        float(sherman_morrison(d=d, p=1, examples=EXAMPLES, **settings).width) for d in WIDTHS
    ]
    bend = np.abs(np.diff(widths, 3)).max()
    checks.append(at_most("third difference of the width in d", bend, 0.0, said="O(d²)"))
    checks.append(at_least("second difference", np.diff(widths, 2).min(), 1.0))
    arrays = {"hinges": np.array(counts), "error": errors, "bound": bounds}
    return Outcome(tuple(checks), arrays, {"d": D, "λ": PENALTY}, seeds=(1,))


def _ridge(prompt: Prompt, steps: int) -> Float[np.ndarray, "m p"]:
    x, y = prompt.x[:steps, :D], prompt.y[:steps]
    weights = np.linalg.solve(x.T @ x + PENALTY * np.eye(D), x.T @ y)
    return np.asarray(prompt.xq[:, :D] @ weights)


def _worst(prompt: Prompt, steps: int, hinges: int) -> float:
    """The largest error where every `1 / (1 + c)` is off by `h^2 max |f''| / 8`, either way."""
    h, largest = NEWTON["largest"] / hinges, 0.0
    for signs in product((-1, 1), repeat=steps):
        w, inverse = np.zeros((P, D)), np.eye(D) / PENALTY
        for x, y, sign in zip(prompt.x[:steps, :D], prompt.y[:steps], signs, strict=True):
            z = inverse @ x
            least = 1 + max(x @ z - h, 0.0)  # of 1 + c, from the hinge before c on
            g = 1 / (1 + x @ z) + sign * h**2 * 2 / least**3 / 8
            w, inverse = w + g * np.outer(y - w @ x, z), inverse - g * np.outer(z, z)
        error = np.abs(prompt.xq[:, :D] @ w.T - _ridge(prompt, steps)).max()
        largest = max(largest, float(error))
    return largest


def draw_newton_steps(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """The error over the number of hinges of `div`."""
    axes = figure.subplots()
    count, error = arrays["hinges"], arrays["error"]
    axes.loglog(count, error, "o-", color=TEST, markersize=4, label="two examples")
    axes.loglog(count, arrays["bound"], "--", color=QUIET, label="its bound")
    axes.set_xticks(count, [str(c) for c in count])
    axes.minorticks_off()
    axes.set_xlabel("hinges of the reciprocal")
    axes.set_ylabel("error to ridge regression")
    axes.legend(frameon=False)


ONLINE = (
    Claim(
        id="sgd-step",
        statement="A step of SGD on the ridge objective takes a constant number of layers and a "
        "width that grows linearly with the dimension.",
        place="Theorem 1",
        tolerance="order 2 within 0.1 in the scale of GeLU's arguments, and 1e-5",
        measure=gradient_steps,
    ),
    Claim(
        id="sherman-morrison",
        statement="A step of Sherman and Morrison on the ridge solution takes a constant number of "
        "layers and a width that grows with the square of the dimension.",
        place="Theorem 2",
        tolerance="what the bound of div, an interpolant, can make of every example's reciprocal; "
        "all else is exact",
        measure=newton_steps,
        draw=draw_newton_steps,
        caption="The only error is that of the reciprocal.",
    ),
)
