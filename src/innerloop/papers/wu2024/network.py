r"""The network that is trained in context, and its gradient as Lemma 1 has it, in numpy.

    p(0) = x      a(j) = V_j p(j-1)      p(j) = r(a(j))      L_n = (1/2n) sum_i |p_i(N) - y_i|^2
    s(N) = r'(a(N)) * u      s(j) = r'(a(j)) * (V_{j+1}^T s(j+1))      u = 2 (p(N) - y)
    dL_n/dV_j = (1/2n) sum_i s_i(j) p_i(j-1)^T

Axes: `n` examples, `N` layers of `K_j` units.
Reference: Wu et al. (2024), arXiv:2411.16549, Definition 1, Definitions 2 and 3, Lemma 1.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from innerloop.prompts import Prompt

Weights = list[Float[np.ndarray, "_ _"]]


class Rule(NamedTuple):
    """An activation and its derivative, entry by entry."""

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]


RULES = {
    "relu": Rule(lambda a: np.maximum(a, 0), lambda a: (a > 0).astype(float)),
    "sigmoid": Rule(expit, lambda a: expit(a) * expit(-a)),
}


def problem(
    depth: int, *, d: int = 3, width: int = 4, p: int = 2, n: int = 6
) -> tuple[Weights, Prompt]:
    """Weights of a network that is not dead, and a prompt whose targets its ReLU output can have.

    Args:
        depth: The number of layers.
        d: Covariates.
        width: Hidden units.
        p: Targets.
        n: Examples.

    Returns:
        The weights and the prompt.
    """
    rng = np.random.default_rng([depth, d, p])
    sizes = [d, *[width] * (depth - 1), p]
    weights = [
        rng.uniform(-0.4, 1.0, size=(b, a)) * 1.5 / np.sqrt(a)
        for a, b in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    x, xq = rng.normal(size=(n, d)), rng.normal(size=(3, d))
    return weights, Prompt(x, np.abs(rng.normal(size=(n, p))), xq)


def forward(
    weights: Sequence[Float[np.ndarray, "_ _"]], x: Float[np.ndarray, "n d"], rule: str = "relu"
) -> tuple[list[Float[np.ndarray, "n _"]], list[Float[np.ndarray, "n _"]]]:
    """Pre-activations `a(1), ..., a(N)` and activations `p(0), ..., p(N)`."""
    before, after = [], [x]
    for v in weights:
        before.append(after[-1] @ v.T)
        after.append(RULES[rule].value(before[-1]))
    return before, after


def gradient(
    weights: Sequence[Float[np.ndarray, "_ _"]], prompt: Prompt, rule: str = "relu"
) -> Weights:
    """The gradient of `L_n` by every weight matrix, by the recursion of Lemma 1."""
    before, after = forward(weights, np.asarray(prompt.x), rule)
    s = RULES[rule].slope(before[-1]) * 2 * (after[-1] - np.asarray(prompt.y))
    found = []
    for j in range(len(weights) - 1, -1, -1):
        found.append(s.T @ after[j] / (2 * prompt.n))
        if j:
            s = RULES[rule].slope(before[j - 1]) * (s @ weights[j])
    return found[::-1]


def descend(
    weights: Weights, prompt: Prompt, *, rate: float, steps: int, box: float, rule: str = "relu"
) -> list[Weights]:
    """The weights after 0, 1, ..., `steps` steps of projected gradient descent on a box."""
    path = [weights]
    for _ in range(steps):
        slopes = gradient(path[-1], prompt, rule)
        pairs = zip(path[-1], slopes, strict=True)
        path.append([np.clip(v - rate * g, -box, box) for v, g in pairs])
    return path


def predictions(
    weights: Sequence[Float[np.ndarray, "_ _"]], prompt: Prompt, rule: str = "relu"
) -> Float[np.ndarray, "m p"]:
    """The network at the queries."""
    return forward(weights, np.asarray(prompt.xq), rule)[1][-1]


def margin(path: Sequence[Weights], prompt: Prompt) -> float:
    """The smallest pre-activation of the context that is not zero, in absolute value."""
    before = [a for weights in path for a in forward(weights, np.asarray(prompt.x))[0]]
    return float(min(np.abs(a[a != 0]).min() for a in before if np.any(a)))


def flat(matrices: Sequence[Float[np.ndarray, "_ _"]]) -> Float[np.ndarray, " size"]:
    """All weights as one vector, layer by layer, row by row: the paper's `w`."""
    return np.concatenate([np.asarray(v).ravel() for v in matrices])
