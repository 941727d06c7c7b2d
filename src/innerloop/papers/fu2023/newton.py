r"""Iterative Newton in attention: exactness, its residual, its step size, and quasi-Newton updates.

    M_0 = a S     M_{k+1} = 2 M_k - M_k S M_k     I - M_k S = (I - a S^2)^(2^k)

Prompts whose targets are their covariates, with unit vectors as queries, make the network print
`M_k S` itself. `S` is a mean over the context here, a sum in the paper; `a` is scaled with it.
"""

from collections.abc import Callable
from math import comb

import equinox as eqx
import numpy as np
from jaxtyping import Float

import innerloop as il
from innerloop import algorithms
from innerloop.constructions import Construction, newton
from innerloop.papers.claims import Outcome, Scale, at_least, at_most, near

D, N, M = 5, 17, 7
DEPTHS = {"smoke": (2, 12), "small": (0, 1, 2, 5, 12), "paper": tuple(range(13))}


def drawn(seed: int, queries: int = M) -> il.Prompt:
    """A prompt of noisy targets."""
    rng = np.random.default_rng(seed)
    return il.Prompt(
        rng.normal(size=(N, D)), rng.normal(size=(N, 1)), rng.normal(size=(queries, D))
    )


def moment(prompt: il.Prompt) -> Float[np.ndarray, "d d"]:
    """The second moment `S`."""
    return np.asarray(prompt.x.T @ prompt.x) / prompt.n


def after(prompt: il.Prompt, scale: float, steps: int) -> Float[np.ndarray, "m p"]:
    """The answers of Newton's iterate from the spectrum, without taking steps."""
    s, basis = np.linalg.eigh(moment(prompt))
    weights = (1 - (1 - scale * s**2) ** (2**steps)) / s
    return prompt.xq @ (basis * weights) @ basis.T @ (prompt.x.T @ prompt.y) / prompt.n


def theorem_5_1(scale: Scale) -> Outcome:
    """The network's answers after `k` steps; with the printed heads; with the query as a key."""
    prompt = drawn(30)
    rate = 1 / np.linalg.eigvalsh(moment(prompt)).max() ** 2
    checks = []
    for kind, relu in (("ReLU", True), ("linear", False)):
        for steps in DEPTHS[scale]:
            model = newton(d=D, p=1, steps=steps, scale=rate, relu=relu)
            error = np.abs(model(prompt) - after(prompt, rate, steps)).max()
            checks.append(at_most(f"{kind} attention, {steps} steps", error, 1e-10))
    model = newton(d=D, p=1, steps=3, scale=rate)
    flip = np.array([1.0, -1.0])[None, :, None, None]
    printed = _changed(model, "W_O", lambda w: w * flip)
    error = np.abs(printed(prompt) - after(prompt, rate, 3)).max()
    checks.append(at_least("two heads of one value matrix, 3 steps", float(error), 0.1))
    alone = drawn(31, queries=1)
    unmasked = _changed(model, "sources", np.ones_like)
    error = np.abs(unmasked(alone) - after(alone, rate, 3)).max()
    checks.append(at_least("the query among the keys, 3 steps", float(error), 1e-3))
    checks.append(near("layers for 3 steps", float(model.depth), 3.0 + 2.0, said="k + 8"))
    settings = {"d": D, "n": N, "width": model.width}
    return Outcome(tuple(checks), {}, settings, seeds=(30, 31))


def _changed(model: Construction, name: str, change: Callable) -> Construction:
    return eqx.tree_at(
        lambda m: getattr(m.transformer.blocks.attention[0], name), model, replace_fn=change
    )


def residual_identity(scale: Scale) -> Outcome:
    """What the network prints of `M_k S` against the power of the first residual."""
    del scale
    prompt = drawn(32)
    own = il.Prompt(prompt.x, prompt.x, np.eye(D))
    s = moment(prompt)
    rate = 1 / np.linalg.eigvalsh(s).max() ** 2
    checks = []
    for steps in (1, 2, 6):
        found = np.eye(D) - newton(d=D, p=D, steps=steps, scale=rate, relu=False)(own)
        expected = np.linalg.matrix_power(np.eye(D) - rate * s @ s, 2**steps)
        what = f"I - M_k S less its closed form, k = {steps}"
        checks.append(at_most(what, float(np.abs(found - expected).max()), 1e-10))
    return Outcome(tuple(checks), {}, {"d": D, "n": N}, seeds=(32,))


def moments(scale: Scale) -> Outcome:
    """What the network prints of `M_1` and `M_2` against sums of odd powers."""
    del scale
    eigenvalues, rate = np.array([0.2, 0.5, 0.9, 1.3, 1.7]), 0.3
    own = il.Prompt(np.diag((5 * eigenvalues) ** 0.5), np.diag((5 * eigenvalues) ** 0.5), np.eye(5))
    checks = []
    for steps in (1, 2):
        found = np.diag(newton(d=5, p=5, steps=steps, scale=rate, relu=False)(own)) / eigenvalues
        terms = [
            comb(2**steps, j) * (-1) ** (j + 1) * rate**j * eigenvalues ** (2 * j - 1)
            for j in range(1, 2**steps + 1)
        ]
        error = np.abs(found - sum(terms)).max()
        checks.append(at_most(f"M_{steps} less the sum over powers", float(error), 1e-12))
        error = np.abs(found - sum(terms[:-1])).max()
        checks.append(at_least(f"M_{steps} without its highest power", float(error), 1e-2))
    return Outcome(tuple(checks), {}, {"a": rate})


def step_size(scale: Scale) -> Outcome:
    """Twenty steps from the printed scale, from just below it and from the code's."""
    del scale
    prompt = drawn(33)
    s = np.linalg.eigvalsh(moment(prompt))
    solution = prompt.xq @ np.linalg.lstsq(prompt.x, prompt.y, rcond=None)[0]

    def error(rate: float) -> float:
        model = newton(d=D, p=1, steps=20, scale=float(rate), relu=False)
        return float(np.abs(model(prompt) - solution).max())

    checks = (
        at_least("error of a = 2 / |S S^T|, spectral norm", error(2 / s.max() ** 2), 0.01),
        at_most("error of a = 1.9 / |S S^T|, spectral norm", error(1.9 / s.max() ** 2), 1e-6),
        at_most("error of a = 1 / |S S^T|, Frobenius norm", error(1 / np.sum(s**4) ** 0.5), 1e-6),
    )
    return Outcome(checks, {}, {"d": D, "n": N, "steps": 20}, seeds=(33,))


def quasi_newton(scale: Scale) -> Outcome:
    """The printed update, DFP and BFGS with exact line search, beside conjugate gradients."""
    del scale
    prompt = drawn(34)
    s, target = moment(prompt), prompt.x.T @ prompt.y[:, 0] / prompt.n
    conjugate = il.run(algorithms.conjugate_gradient(), prompt, steps=4)[1:, :, 0]

    def iterates(update: Callable) -> Float[np.ndarray, "s m"]:
        w, inverse, found = np.zeros(D), np.eye(D), []
        for _ in range(4):
            gradient = s @ w - target
            direction = -inverse @ gradient
            step = -(gradient @ direction) / (direction @ s @ direction) * direction
            w, inverse = w + step, update(inverse, step, s @ step)
            found.append(prompt.xq @ w)
        return np.array(found)

    def printed(b, move, change):
        image = b @ change
        less = np.outer(image, image) / (change @ image)
        return b - less + np.outer(move, move) / (change @ move)

    def bfgs(b, move, change):
        left = np.eye(D) - np.outer(move, change) / (change @ move)
        return left @ b @ left.T + np.outer(move, move) / (change @ move)

    move, change = np.ones(D), np.arange(1.0, D + 1)
    start = np.diag(np.arange(1.0, D + 1))
    apart = np.abs(printed(start, move, change) - bfgs(start, move, change)).max()
    checks = (
        at_least("the printed update less that of BFGS", float(apart), 0.1),
        at_most(
            "answers of the printed update less conjugate gradients",
            float(np.abs(iterates(printed) - conjugate).max()),
            1e-8,
        ),
        at_most(
            "answers of BFGS less conjugate gradients",
            float(np.abs(iterates(bfgs) - conjugate).max()),
            1e-8,
        ),
    )
    return Outcome(checks, {}, {"d": D, "n": N, "steps": 4}, seeds=(34,))
