"""Proposition 2: an MLP before linear attention is gradient descent on its features."""

import numpy as np
from jaxtyping import Array, Float

from innerloop.constructions import Features, deep_features
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most
from innerloop.papers.vonoswald2022.explicit import EXACT, D, P, apart, descended, sampled
from innerloop.prompts import Prompt

HIDDEN, OUT = 11, 6
DEPTHS = (1, 2, 5)


def on_features(scale: Scale) -> Outcome:
    """The layers against descent on features, and against descent in the space of functions."""
    del scale
    rng, checks = np.random.default_rng(0), []
    prompt, features = sampled(rng), _drawn(rng)
    seen = Prompt(_applied(features, prompt.x), prompt.y, _applied(features, prompt.xq))
    rate = float(1 / np.linalg.eigvalsh(seen.x.T @ seen.x / seen.n).max())
    for steps in DEPTHS:
        model = deep_features(features, p=P, steps=steps, learning_rate=rate)
        primal = descended(seen, np.zeros((P, OUT)), [rate] * steps)
        context, query = np.zeros_like(prompt.y), np.zeros((len(prompt.xq), P))
        for _ in range(steps):
            residual = rate / prompt.n * (prompt.y - context)
            query = query + seen.xq @ seen.x.T @ residual
            context = context + seen.x @ seen.x.T @ residual
        found = model(prompt)
        what = f"relative error, K = {steps}"
        checks.append(at_most(f"{what}, weights on features", apart(found, primal), EXACT))
        checks.append(at_most(f"{what}, kernel", apart(found, query), EXACT))
    settings = {"hidden neurons": HIDDEN, "features": OUT}
    return Outcome(tuple(checks), settings=settings, seeds=(0,))


def kernel_smoothing(scale: Scale) -> Outcome:
    """The first layer against `sum_i y_i k(x_i, x_q)` with the factor `eta / N` and without."""
    del scale
    rng, rate = np.random.default_rng(1), 0.3
    prompt, features = sampled(rng), _drawn(rng)
    kernel = _applied(features, prompt.xq) @ _applied(features, prompt.x).T
    found = deep_features(features, p=P, steps=1, learning_rate=rate)(prompt)
    smoothed = kernel @ prompt.y
    printed, corrected = apart(found, smoothed), apart(found, rate / prompt.n * smoothed)
    checks = (
        at_least("relative error of the printed equation", printed, 0.1),
        at_most("with the factor η / N", corrected, EXACT),
    )
    return Outcome(checks, settings={"learning rate": rate}, seeds=(1,))


def _drawn(rng: np.random.Generator) -> Features:
    return Features(
        rng.normal(size=(HIDDEN, D)), rng.normal(size=HIDDEN), rng.normal(size=(OUT, HIDDEN)) / 3
    )


def _applied(
    features: Features, x: Float[Array | np.ndarray, "rows d"]
) -> Float[np.ndarray, "rows c"]:
    x = np.asarray(x)
    return np.maximum(x @ features.input.T + features.bias, 0) @ features.output.T


FEATURES = (
    Claim(
        id="deep-features",
        statement="An MLP followed by K layers of linear attention does K steps of gradient "
        "descent on the MLP's features, which is kernel least squares with their inner product.",
        place="Proposition 2",
        tolerance="float64 rounding",
        measure=on_features,
    ),
    Claim(
        id="kernel-smoothing",
        statement="One layer from zero weights predicts a sum of the targets weighted by the "
        "kernel.",
        place="Equation 13",
        tolerance="float64 rounding; the printed equation must be wrong by a tenth",
        measure=kernel_smoothing,
        correction="Equation 13 leaves out the factor η / N, which the layer has.",
    ),
)
