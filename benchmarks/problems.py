"""What is measured: the digits demo, and networks of any width and depth.

Axes: `n` context examples, `m` queries, `d` covariates, `p` targets.
"""

from collections.abc import Sequence

import jax
import numpy as np
import optax
from sklearn.datasets import load_digits

import innerloop as il

RULES = {
    "SGD": optax.sgd(0.2),
    "momentum": optax.sgd(0.2, momentum=0.9),
    "Adam": optax.adam(1e-3),
}


def digits(n: int = 1000, m: int = 797) -> il.Prompt:
    """Pixels in `[0, 1]` and one-hot classes; examples repeat where `n` exceeds 1,000."""
    pixels, classes = load_digits(return_X_y=True)
    x, y = pixels / 16.0, np.eye(10)[classes]
    context = np.arange(n) % 1000
    return il.Prompt(x[context], y[context], x[1000 : 1000 + m])


def network(params: Sequence[tuple[jax.Array, jax.Array]], x: jax.Array) -> jax.Array:
    """A multilayer perceptron of ReLU units."""
    for weights, bias in params[:-1]:
        x = jax.nn.relu(weights @ x + bias)
    weights, bias = params[-1]
    return weights @ x + bias


def learner(sizes: Sequence[int], rule: str = "momentum") -> il.Learner:
    """Training of a network with `len(sizes) - 1` layers under a rule of `RULES`."""
    rng = np.random.default_rng(0)
    params = [
        (rng.normal(size=(b, a)) * np.sqrt(2 / a), np.zeros(b))
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    return il.learner(network, params, optimizer=RULES[rule])


def kernel_learner() -> il.Learner:
    """Functional gradient descent with a Gaussian kernel."""
    kernel = il.Kernel("rbf", bandwidth=2.0)
    return il.algorithms.functional_gradient_descent(0.5, kernel=kernel)
