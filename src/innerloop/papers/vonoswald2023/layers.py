"""Propositions 1 and 2 and the mesa layer, along sequences of linear dynamics."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Array, Float

from innerloop.constructions import (
    autoregressive_step,
    chebyshev_coefficients,
    mesa_layer,
    momentum_inverse,
)
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most
from innerloop.papers.linear_tasks import predictions
from innerloop.prompts import Prompt
from innerloop.report.canvas import QUIET, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXACT, PENALTY = 1e-10, 0.7
SIZE = {"smoke": 4, "small": 10, "paper": 10}
LENGTH = {"smoke": 12, "small": 50, "paper": 50}
SEQUENCES = {"smoke": 200, "small": 1000, "paper": 10_000}
DEPTHS = (1, 2, 5)
LAYERS = {"smoke": (1, 2, 12), "small": (1, 2, 3, 5, 7, 10, 20, 50)}
LAYERS["paper"] = (*LAYERS["small"], 100)


def sequence(rng: np.random.Generator, size: int, length: int) -> Float[np.ndarray, "t s"]:
    """`s_{t+1} = W s_t` with a random orthogonal `W`, from `s_1 ~ N(0, I)`."""
    teacher = np.linalg.qr(rng.normal(size=(size, size)))[0]
    states = [rng.normal(size=size)]
    for _ in range(length - 1):
        states.append(teacher @ states[-1])
    return np.stack(states)


def prefixes(states: Float[np.ndarray, "t s"]) -> list[Prompt]:
    """For some times, the transitions seen so far as context, and the state as the query."""
    times = (2, len(states) // 2, len(states) - 1)
    return [Prompt(states[: t - 1], states[1:t], states[t - 1 : t]) for t in times]


def apart(
    found: Float[Array | np.ndarray, "m p"], expected: Float[Array | np.ndarray, "m p"]
) -> float:
    """The largest difference, relative to the largest prediction."""
    return float(np.abs(np.asarray(found - expected)).max() / np.abs(np.asarray(expected)).max())


def gradient_step(scale: Scale) -> Outcome:
    """Proposition 1 along a sequence, from a random `Phi_0`."""
    rng, checks, size, rate = np.random.default_rng(0), [], SIZE[scale], 0.02
    start = rng.normal(size=(size, size)) / 2
    model = autoregressive_step(learning_rate=rate, weights=start)
    for prompt in prefixes(sequence(rng, size, LENGTH[scale])):
        slope = (prompt.x @ start.T - prompt.y).T @ prompt.x
        error = apart(model(prompt), prompt.xq @ (start - rate * slope).T)
        checks.append(at_most(f"relative error at t = {prompt.n + 1}", error, EXACT))
    return Outcome(tuple(checks), settings={"n_s": size, "η": rate}, seeds=(0,))


def system(prompt: Prompt, penalty: float) -> Float[np.ndarray, "d d"]:
    """`A = sum_j x_j x_j^T + I / lambda`."""
    return np.asarray(prompt.x.T @ prompt.x + penalty * np.eye(prompt.d))


def recursion(scale: Scale) -> Outcome:
    """Proposition 2 against its printed recursion, Richardson's and with momentum."""
    rng, checks, size = np.random.default_rng(1), [], SIZE["smoke"]
    prompt = prefixes(sequence(rng, size, LENGTH["smoke"]))[-1]
    matrix = system(prompt, PENALTY)
    rate = 1 / float(np.linalg.eigvalsh(matrix).max())
    for steps in DEPTHS if scale == "smoke" else (*DEPTHS, 20):
        alphas = (rate * rng.uniform(0.5, 1.5, size=steps)).tolist()
        # The construction divides by beta: Richardson's iteration is a beta beyond rounding.
        momenta = {"Richardson": (1e-12, 0.0), "momentum": (0.3, 0.3)}
        for name, (built, meant) in momenta.items():
            z = before = np.zeros(size)
            for alpha in alphas:
                move = alpha * (prompt.xq[0] - matrix @ z) + meant * (z - before)
                z, before = z + move, z
            betas = [built] * steps
            sizes = {"d": size, "p": size, "penalty": PENALTY}
            model = momentum_inverse(**sizes, alphas=alphas, betas=betas)
            error = apart(model(prompt), (prompt.y.T @ prompt.x @ z)[None])
            checks.append(at_most(f"relative error, {name}, K = {steps}", error, EXACT))
    return Outcome(tuple(checks), settings={"n_s": size, "1 / λ": PENALTY}, seeds=(1,))


def convergence(scale: Scale) -> Outcome:
    """Losses of layers with Chebyshev's coefficients, of one tuned step, and of the mesa layer."""
    rng, size, count = np.random.default_rng(2), SIZE[scale], SEQUENCES[scale]
    states = np.stack([sequence(rng, size, LENGTH[scale] + 1) for _ in range(count)])
    x, y, xq = states[:, :-2], states[:, 1:-1], states[:, -2:-1]
    targets = states[:, -1:]
    spectrum = np.linalg.eigvalsh(np.swapaxes(x, 1, 2) @ x) + PENALTY
    low, high = float(spectrum.min()), float(spectrum.max())
    rho = (np.sqrt(high / low) - 1) / (np.sqrt(high / low) + 1)
    sizes = {"d": size, "p": size, "penalty": PENALTY}
    ridge = predictions(mesa_layer(**sizes), x, y, xq)
    plain = xq @ np.swapaxes(x, 1, 2) @ y
    one_step = np.sum(plain * targets) / np.sum(plain**2) * plain
    reach = np.linalg.norm(np.swapaxes(x, 1, 2) @ y, 2, axis=(1, 2)) / low
    reach = reach * np.linalg.norm(xq, axis=2)[:, 0]

    def loss(found: Float[np.ndarray, "b m s"]) -> float:
        return float(np.mean(np.sum((found - targets) ** 2, axis=2)) / 2)

    checks, gaps, losses, depths = [], [], [], LAYERS[scale]
    for steps in depths:
        alphas, betas = chebyshev_coefficients(low, high, steps)
        found = predictions(momentum_inverse(**sizes, alphas=alphas, betas=betas), x, y, xq)
        distance = np.linalg.norm(found - ridge, axis=2)[:, 0]
        what = f"distance to ridge over 2 ρ^K of its bound, K = {steps}"
        checks.append(at_most(what, np.max(distance / (2 * rho**steps * reach)), 1.0))
        gaps.append(np.sqrt(np.mean(distance**2)))
        losses.append(loss(found))
    mesa, step, deepest = loss(ridge), loss(one_step), losses[-1]
    checks += [
        at_most("distance to ridge, deepest over shallowest", gaps[-1] / gaps[0], 0.5),
        at_most("loss of the mesa layer over that of the deepest", mesa / deepest, 1.0),
        at_most("loss of the deepest over that of one tuned step", deepest / step, 1.0),
    ]
    arrays = {
        "layers": np.array(depths),
        "loss": np.array(losses),
        "others": np.array([step, mesa]),
    }
    settings = {"n_s": size, "T": LENGTH[scale], "sequences": count, "1 / λ": PENALTY}
    return Outcome(tuple(checks), arrays, settings, seeds=(2,))


def draw_convergence(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Losses over the number of momentum layers."""
    axes = figure.subplots()
    step, mesa = arrays["others"]
    axes.semilogy(arrays["layers"], arrays["loss"], "o-", color=TEST, markersize=4,
                  label="Proposition 2, K layers and one")  # fmt: skip
    axes.axhline(step, color=QUIET, linestyle="--", label="one gradient step, tuned")
    axes.axhline(mesa, color=TRAIN, label="one mesa layer")
    axes.set_xscale("log")
    axes.set_xticks(arrays["layers"], [str(k) for k in arrays["layers"]])
    axes.minorticks_off()
    axes.set_xlabel("layers K that solve for the query")
    axes.set_ylabel("loss of the last prediction")
    axes.legend(frameon=False)


def recursive_least_squares(scale: Scale) -> Outcome:
    """The mesa layer against the recursion for `R_t`, example by example, and its limits."""
    rng, checks, size = np.random.default_rng(3), [], SIZE[scale]
    states = sequence(rng, size, LENGTH[scale])
    noisy = states + 0.1 * rng.normal(size=states.shape)
    scale_of_start = 1 / PENALTY
    model = mesa_layer(d=size, p=size, penalty=PENALTY)
    for prompt in prefixes(noisy):
        inverse = scale_of_start * np.eye(size)
        for key in prompt.x:
            image = inverse @ key
            inverse = inverse - np.outer(image, image) / (1 + key @ image)
        expected = prompt.xq @ inverse.T @ prompt.x.T @ prompt.y
        what = f"relative error at t = {prompt.n + 1}"
        checks.append(at_most(what, apart(model(prompt), expected), EXACT))
    last = prefixes(noisy)[-1]
    attention = last.xq @ last.x.T @ last.y
    small = mesa_layer(d=size, p=size, penalty=1e9)(last) * 1e9
    checks.append(at_most("linear attention, λ = 1e-9", apart(small, attention), 1e-6))
    error = apart(mesa_layer(d=size, p=size, penalty=1.0)(last), attention)
    checks.append(at_least("linear attention, λ = 1", error, 0.1))
    settings = {"n_s": size, "1 / λ": PENALTY}
    return Outcome(tuple(checks), settings=settings, seeds=(3,))


LEAST_SQUARES = (
    Claim(
        id="gradient-step",
        statement="One layer turns Φ₀ s_t into (Φ₀ - η ∇L_t(Φ₀)) s_t for the sum of squares "
        "over all transitions seen so far.",
        place="Proposition 1",
        tolerance="float64 rounding; attention is causal in the paper, here each prefix is a "
        "context of its own",
        measure=gradient_step,
    ),
    Claim(
        id="recursion",
        statement="Layers solve A z = s_t with A = Σ s sᵀ + I / λ by Richardson's iteration or "
        "with momentum, and one more layer applies the targets.",
        place="Proposition 2",
        tolerance="float64 rounding; Richardson's is built with a momentum of 1e-12",
        measure=recursion,
    ),
    Claim(
        id="convergence",
        statement="With depth these layers converge to ridge regression, whose loss the mesa "
        "layer has at once; both are better than one tuned gradient step.",
        place="Proposition 2 and Section 4",
        tolerance="Chebyshev's bound 2 ρ^K with ρ = (√κ - 1) / (√κ + 1); nothing is trained",
        measure=convergence,
        draw=draw_convergence,
        caption="The loss of constructed layers on sequences of random orthogonal dynamics.",
    ),
    Claim(
        id="mesa-layer",
        statement="The mesa layer is recursive least squares: R_t by Sherman and Morrison from "
        "R₀ = λ I; for λ → 0 it is linear attention times λ.",
        place="Section 4",
        tolerance="float64 rounding; 1e-6 at λ = 1e-9",
        measure=recursive_least_squares,
    ),
)
