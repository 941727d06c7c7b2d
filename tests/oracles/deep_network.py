"""Projected gradient descent on a network without biases: numpy, backpropagation written out.

p_0 = x, p_j = r(V_j p_{j-1}); the loss is (1/2n) sum_i |p_N(x_i) - y_i|^2; weights stay in a box.
"""

import numpy as np
from scipy.special import expit

ACTIVATIONS = {
    "relu": (lambda a: np.maximum(a, 0), lambda a: (a > 0).astype(float)),
    "sigmoid": (expit, lambda a: expit(a) * expit(-a)),
    "none": (lambda a: a, np.ones_like),
}


def draw(rng, depth, *, d=3, width=4, p=2):
    """Weights of a network that is not dead: mostly positive, rows of norm around 1."""
    sizes = [d, *[width] * (depth - 1), p]
    return [
        rng.uniform(-0.4, 1.0, size=(b, a)) * 1.5 / np.sqrt(a)
        for a, b in zip(sizes[:-1], sizes[1:], strict=True)
    ]


def forward(weights, x, hidden="relu", output=None):
    """Pre-activations and activations of every layer."""
    p, before = [x], []
    for j, v in enumerate(weights):
        name = (output or hidden) if j == len(weights) - 1 else hidden
        before.append(p[-1] @ v.T)
        p.append(ACTIVATIONS[name][0](before[-1]))
    return before, p


def gradient(weights, x, y, hidden="relu", output=None):
    """The gradient by every weight matrix."""
    before, p = forward(weights, x, hidden, output)
    s = (p[-1] - y) / len(x) * ACTIVATIONS[output or hidden][1](before[-1])
    found = []
    for j in range(len(weights) - 1, -1, -1):
        found.append(s.T @ p[j])
        if j:
            s = (s @ weights[j]) * ACTIVATIONS[hidden][1](before[j - 1])
    return found[::-1]


def descend(weights, x, y, rate, steps, box, hidden="relu", output=None):
    """The weights after 0, ..., `steps` steps."""
    path = [weights]
    for _ in range(steps):
        slopes = gradient(path[-1], x, y, hidden, output)
        path.append(
            [np.clip(v - rate * g, -box, box) for v, g in zip(path[-1], slopes, strict=True)]
        )
    return path


def margin(path, x, hidden="relu", output=None):
    """The smallest positive pre-activation, and the smallest of all in absolute value, of ReLUs."""
    found = [np.inf]
    for weights in path:
        before, _ = forward(weights, x, hidden, output)
        relus = before if output is None else before[:-1]
        found += [np.abs(a[a != 0]).min() for a in relus if np.any(a != 0)]
    return min(found)
