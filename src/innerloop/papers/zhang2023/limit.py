"""Theorem 4.1: where gradient flow ends, and what the layer there leaves."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from innerloop.constructions import (
    Limit,
    gradient_flow_limit,
    linear_optimum,
    preconditioned_gradient_descent,
)
from innerloop.papers.claims import Claim, Outcome, Scale, at_most, near
from innerloop.papers.linear_tasks import task_losses, task_map
from innerloop.papers.zhang2023.setting import LAMBDA, RESTATED, SE, D, N
from innerloop.report.canvas import TEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONTEXTS = {"smoke": 4000, "small": 40_000, "paper": 200_000}
STEPS, TIME = {"smoke": 6000, "small": 20_000, "paper": 200_000}, 300.0


def moment(n: int) -> Float[np.ndarray, "d d"]:
    """`E S^2 Lambda^{-1}`, the matrix that the paper calls `Gamma`."""
    return (1 + 1 / n) * LAMBDA + np.trace(LAMBDA) / n * np.eye(D)


def flow(scale: Scale) -> Outcome:
    """Gradient flow of the expected loss on `W_KQ` and `W_PV`, from small balanced weights.

    With `A` for the covariates' block of `W_KQ` and `u` for the target's entry of `W_PV`, the only
    ones that leave zero, the half loss is
    `tr(Lambda - 2 u Lambda A Lambda + u^2 Lambda A Gamma Lambda A^T) / 2`.
    """
    rng, steps = np.random.default_rng(0), STEPS[scale]
    gamma, end = moment(N), gradient_flow_limit(LAMBDA, N)
    theta = rng.normal(size=(D, D))
    start = theta @ theta.T
    now = np.concatenate([[0.1], 0.1 * start.ravel() / np.linalg.norm(start)])
    dt, losses, kept = TIME / steps, [], steps // 200

    def slope(parameters: np.ndarray) -> np.ndarray:
        u, a = parameters[0], parameters[1:].reshape(D, D)
        moved = u * LAMBDA @ a @ gamma @ LAMBDA - LAMBDA @ LAMBDA
        return -np.concatenate([[np.sum(a * moved)], (u * moved).ravel()])

    for step in range(steps):
        if step % kept == 0:
            losses.append(_loss(now, gamma))
        first = slope(now)
        second = slope(now + dt / 2 * first)
        third = slope(now + dt / 2 * second)
        fourth = slope(now + dt * third)
        now = now + dt / 6 * (first + 2 * second + 2 * third + fourth)
    u, a = now[0], now[1:].reshape(D, D)
    least = linear_optimum(LAMBDA, N).loss / 2
    closed = np.sum(np.linalg.inv(gamma) ** 2) ** 0.25
    distance = np.abs(a - end.key_query).max()
    checks = (
        at_most("largest difference of W_KQ from its limit", distance, 1e-5),
        near("entry of W_PV", u, end.value, absolute=1e-5, said="tr(Γ⁻²)^(1/4)"),
        near("the same in closed form", end.value, closed, absolute=1e-12, said="tr(Γ⁻²)^(1/4)"),
        at_most("gradient in the other entries, relative", _drift(rng, end), 1e-12, said="0"),
        at_most("loss above the minimum over one layer", _loss(now, gamma) - least, 1e-10),
    )
    arrays = {
        "time": dt * kept * np.arange(len(losses)),
        "loss": np.array(losses),
        "least": np.array(least),
    }
    settings = {"N": N, "d": D, "Runge-Kutta steps": steps, "time": TIME}
    return Outcome(checks, arrays, settings, seeds=(0,))


def _drift(rng: np.random.Generator, end: Limit) -> float:
    """The gradient in entries that start at zero, over the largest in the two that do not.

    Of the loss over contexts and tasks of both signs, by automatic differentiation in all entries.
    """
    contexts = 50
    x = rng.normal(size=(contexts, N + 1, D)) @ np.sqrt(LAMBDA)
    w = rng.normal(size=(contexts, D))
    tokens, targets = [], []
    for sign in (1.0, -1.0):
        y = sign * np.einsum("bnd,bd->bn", x, w)
        targets.append(y[:, -1])
        y[:, -1] = 0.0
        tokens.append(np.concatenate([x, y[..., None]], axis=2))
    e, target = jnp.concatenate(tokens), jnp.concatenate(targets)

    def loss(weights: tuple[jax.Array, jax.Array]) -> jax.Array:
        value, key_query = weights
        query = e[:, -1] @ key_query.T
        mixed = jnp.einsum("bnr,bns,bs->br", e, e, query) / N
        return jnp.mean((mixed @ value[-1] - target) ** 2)

    value, key_query = np.zeros((D + 1, D + 1)), np.zeros((D + 1, D + 1))
    value[-1, -1], key_query[:D, :D] = 0.5 * end.value, 0.5 * end.key_query
    slopes = [np.array(g) for g in jax.grad(loss)((jnp.asarray(value), jnp.asarray(key_query)))]
    largest = max(np.abs(slopes[0][-1, -1]), np.abs(slopes[1][:D, :D]).max())
    slopes[0][-1, -1], slopes[1][:D, :D] = 0.0, 0.0
    return float(max(np.abs(g).max() for g in slopes) / largest)


def _loss(parameters: Float[np.ndarray, " k"], gamma: Float[np.ndarray, "d d"]) -> float:
    u, a = parameters[0], parameters[1:].reshape(D, D)
    inner = LAMBDA - 2 * u * LAMBDA @ a @ LAMBDA + u**2 * LAMBDA @ a @ gamma @ LAMBDA @ a.T
    return float(np.trace(inner)) / 2


def draw_flow(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """The loss over time."""
    axes = figure.subplots()
    shown = arrays["loss"] - arrays["least"] > 1e-10
    axes.semilogy(arrays["time"][shown], (arrays["loss"] - arrays["least"])[shown], color=TEST)
    axes.set_xlabel("time of the gradient flow")
    axes.set_ylabel("loss above that of the limit")


def least_loss(scale: Scale) -> Outcome:
    """The loss of the actual layer with the limit's weights, over sampled contexts."""
    rng, checks = np.random.default_rng(1), []
    root = np.sqrt(LAMBDA)
    for n in (5, 40):
        optimum = linear_optimum(LAMBDA, n)
        limit = gradient_flow_limit(LAMBDA, n)
        model = preconditioned_gradient_descent((limit.value * limit.key_query)[None], p=D)
        x = rng.normal(size=(CONTEXTS[scale], n, D)) @ root
        losses = task_losses(task_map(model, x), LAMBDA)
        error = losses.std() / np.sqrt(len(losses))
        checks.append(
            near(f"loss, N = {n}", losses.mean(), optimum.loss, absolute=SE * error, said="")
        )
    settings = {"contexts": CONTEXTS[scale], "d": D}
    return Outcome(tuple(checks), settings=settings, seeds=(1,))


LIMIT = (
    Claim(
        id="limit",
        statement="Gradient flow of the expected loss ends at W_KQ = Γ⁻¹ / tr(Γ⁻²)^(1/4) over "
        "the covariates and tr(Γ⁻²)^(1/4) for W_PV, with Γ = (1 + 1/N) Λ + (tr Λ / N) I, a "
        "global minimum.",
        place="Theorem 4.1",
        tolerance="1e-5 after Runge and Kutta's method, 1e-10 in the loss; entries whose gradient "
        f"is zero are left out of the flow; {RESTATED}",
        measure=flow,
        draw=draw_flow,
        caption="The expected loss along the gradient flow, above that of the limit.",
    ),
    Claim(
        id="least-loss",
        statement="The layer at the limit has the expected loss tr Λ - tr(Λ² Γ⁻¹).",
        place="Theorem 4.1",
        tolerance=f"{SE:g} standard errors over contexts; {RESTATED}",
        measure=least_loss,
    ),
)
