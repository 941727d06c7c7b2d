r"""A layer of ReLU attention as a gradient step: squared error, ridge, the Lasso, two layers.

Networks of the constructions are compared with descent written out in numpy, or with `jax.grad`;
the numbers of layers that theorems ask for are those of convex optimisation.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

import innerloop as il
from innerloop import constructions
from innerloop.papers.claims import Outcome, Scale, at_least, at_most, near
from innerloop.report.canvas import QUIET, TEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, N, M = 3, 13, 7
DEPTHS = {"smoke": (2, 5), "small": (1, 2, 5), "paper": (1, 2, 5, 20, 50)}
PENALTY, LASSO_PENALTY = 0.1, 0.1


def drawn(seed: int, weights: tuple[float, ...] = (0.8, -1.1, 0.5)) -> il.Prompt:
    """A prompt of noisy linear targets."""
    rng = np.random.default_rng(seed)
    x, xq = rng.uniform(-1, 1, size=(N, D)), rng.uniform(-1, 1, size=(M, D))
    return il.Prompt(x, (x @ weights + 0.3 * rng.normal(size=N))[:, None], xq)


def steps_of(
    prompt: il.Prompt, rate: float, steps: int, *, ridge: float = 0.0, threshold: float = 0.0
) -> Float[np.ndarray, " d"]:
    """Weights after steps of descent with a ridge penalty, each step shrunk by a threshold."""
    x, y, w = np.asarray(prompt.x), np.asarray(prompt.y)[:, 0], np.zeros(prompt.d)
    for _ in range(steps):
        w = w - rate * (x.T @ (x @ w - y) / len(x) + ridge * w)
        w = np.sign(w) * np.maximum(np.abs(w) - threshold, 0.0)
    return w


def theorem_13(scale: Scale) -> Outcome:
    """Squared error: two heads a layer, one layer a step, and one that reads out."""
    prompt, checks = drawn(40), []
    for steps in DEPTHS[scale]:
        model = constructions.convex_gradient_descent(d=D, p=1, steps=steps, learning_rate=0.8)
        expected = prompt.xq @ steps_of(prompt, 0.8, steps)[:, None]
        error = float(np.abs(model(prompt) - expected).max())
        checks.append(at_most(f"answers after {steps} steps", error, 1e-12))
        checks.append(
            near(f"layers for {steps} steps", float(model.depth), steps + 1.0, said="L + 1")
        )
        heads = model.transformer.blocks.attention[0].W_Q.shape[1]
        checks.append(near(f"heads for {steps} steps", float(heads), 2.0))
    return Outcome(tuple(checks), {}, {"d": D, "n": N}, seeds=(40,))


def theorem_4(scale: Scale) -> Outcome:
    """Ridge: each step, and the layers that a precision takes by the condition number."""
    prompt = drawn(41)
    system = prompt.x.T @ prompt.x / N + PENALTY * np.eye(D)
    best = np.linalg.solve(system, prompt.x.T @ prompt.y[:, 0] / N)
    s = np.linalg.eigvalsh(system)
    rate, condition = 1 / s.max(), s.max() / s.min()

    def error(steps: int) -> tuple[float, float]:
        """The distance from the minimiser at queries, and from the iterate."""
        model = constructions.convex_gradient_descent(
            d=D, p=1, steps=steps, learning_rate=float(rate), penalty=PENALTY
        )
        found = model(prompt)[:, 0]
        exact = prompt.xq @ steps_of(prompt, rate, steps, ridge=PENALTY)
        return float(np.abs(found - prompt.xq @ best).max()), float(np.abs(found - exact).max())

    checks, layers, errors = [], [], []
    size = np.linalg.norm(best) * np.linalg.norm(prompt.xq, axis=1).max()
    for precision in (1e-1, 1e-3, 1e-6)[: 2 if scale == "smoke" else 3]:
        steps = math.ceil(condition * math.log(size / precision))
        away, apart = error(steps)
        what = f"distance from ridge after kappa log(B / epsilon) = {steps} steps"
        checks.append(at_most(what, away, precision))
        checks.append(at_most(f"answers after {steps} steps", apart, 1e-12))
        layers.append(steps)
        errors.append(away)
    grid = np.arange(1, layers[-1] + 1)
    arrays = {"steps": grid, "bound": size * (1 - 1 / condition) ** grid}
    arrays |= {"layers": np.array(layers), "errors": np.array(errors)}
    settings = {"d": D, "n": N, "penalty": PENALTY, "condition": float(condition)}
    return Outcome(tuple(checks), arrays, settings, seeds=(41,))


def draw_theorem_4(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Distances from ridge below the geometric bound."""
    axes = figure.subplots()
    axes.plot(arrays["steps"], arrays["bound"], color=QUIET, label="bound")
    axes.plot(arrays["layers"], arrays["errors"], "o", color=TEST, label="network")
    axes.set_yscale("log")
    axes.set_xlabel("steps")
    axes.set_ylabel("distance from ridge at queries")
    axes.legend(frameon=False)


def theorem_10(scale: Scale) -> Outcome:
    """The Lasso: each step, and how far from the minimum after a number of layers."""
    prompt = drawn(42, (1.0, 0.0, 0.0))
    top = np.linalg.eigvalsh(prompt.x.T @ prompt.x / N).max()
    rate = float(1 / top)

    def objective(w: np.ndarray) -> float:
        residual = prompt.x @ w - prompt.y[:, 0]
        return float(residual @ residual / (2 * N) + LASSO_PENALTY * np.abs(w).sum())

    shrink = rate * LASSO_PENALTY
    best = steps_of(prompt, rate, 5_000, threshold=shrink)
    checks = [
        at_least("coefficients of the minimiser that are zero", float(np.sum(best == 0)), 1.0)
    ]
    for steps in (2, 20) if scale == "smoke" else (1, 2, 5, 20, 80):
        model = constructions.lasso(
            d=D, p=1, steps=steps, learning_rate=rate, penalty=LASSO_PENALTY
        )
        w = np.asarray(model.stream(prompt))[0, D + 2 : 2 * D + 2]
        apart = np.abs(w - steps_of(prompt, rate, steps, threshold=shrink)).max()
        gap = objective(w) - objective(best)
        checks.append(at_most(f"weights after {steps} steps", float(apart), 1e-12))
        bound = float(top * best @ best / (2 * steps))
        checks.append(at_most(f"objective less its minimum after {steps} steps", gap, bound))
    settings = {"d": D, "n": N, "penalty": LASSO_PENALTY}
    return Outcome(tuple(checks), {}, settings, seeds=(42,))


def theorem_g_1(scale: Scale) -> Outcome:
    """A two-layer ReLU network, two blocks a step, against `jax.grad`."""
    rng = np.random.default_rng(43)
    prompt = drawn(43)
    hidden, output = rng.normal(size=(5, D)), rng.normal(size=5)
    learner = il.learner(
        lambda w, x: w[1] @ jnp.maximum(w[0] @ x, 0.0),
        (hidden, output[None]),
        optimizer=optax.sgd(0.3),
    )
    checks = []
    for steps in (2,) if scale == "smoke" else (1, 2, 5):
        model = constructions.two_layer_network(
            hidden, output, steps=steps, learning_rate=0.3, sharpness=1e4
        )
        found = il.run(learner, prompt, steps=steps)
        checks.append(
            at_most(
                f"answers after {steps} steps", float(np.abs(model(prompt) - found[-1]).max()), 1e-9
            )
        )
        moved = float(np.abs(found[-1] - found[0]).max())
        checks.append(at_least(f"how far {steps} steps moved the answers", moved, 1e-2))
        checks.append(near(f"blocks for {steps} steps", float(model.depth), 2.0 * steps + 1.0))
    return Outcome(tuple(checks), {}, {"d": D, "n": N, "units": 5}, seeds=(43,))
