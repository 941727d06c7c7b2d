"""Entries of constructions whose tokens carry a network."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from innerloop.constructions._deep_gradient_descent import deep_gradient_descent
from innerloop.constructions._deep_softmax import deep_softmax
from innerloop.constructions._deep_standard import deep_standard
from innerloop.constructions._deep_tokens import relu
from innerloop.constructions._entry import D, Entry, P
from innerloop.learners import Learner, learner
from innerloop.prompts import Prompt

NETWORK = tuple(
    0.3 + 0.6 * np.cos(1.7 * np.arange(rows * columns) + rows).reshape(rows, columns)
    for rows, columns in ((5, D), (5, 5), (P, 5))
)
BOX = 0.85


def deep_regression(rng: np.random.Generator) -> Prompt:
    """Two positive targets of three normal covariates, seven examples and three queries."""
    x, xq = rng.normal(size=(7, D)), rng.normal(size=(3, D))
    return Prompt(x, np.abs(rng.normal(size=(7, P))), xq)


def _deep(learning_rate: float) -> Learner:
    """Projected gradient descent on a ReLU network without biases, its output rectified too."""

    def forward(weights, x):
        for v in weights:
            x = jnp.maximum(v @ x, 0.0)
        return x

    def project(updates, params):
        return jax.tree.map(
            lambda g, w: jnp.clip(w - learning_rate * g, -BOX, BOX) - w, updates, params
        )

    return learner(forward, NETWORK, optimizer=optax.stateless(project))


WU = (
    Entry(
        "deep_as_printed",
        "Wu et al. 2024",
        "Theorem 1, N = 3, with multiplication layers",
        lambda steps: deep_gradient_descent(
            NETWORK, examples=7, steps=steps, learning_rate=0.05, activation=relu(1e-4), box=BOX
        ),
        lambda: _deep(0.05),
        deep_regression,
        parts="multiplication layers, train bit, weights know n",
        attention="relu",
    ),
    Entry(
        "deep_by_positions",
        "Wu et al. 2024",
        "Theorem 1, N = 3, multiplications by position codes",
        lambda steps: deep_gradient_descent(
            NETWORK, examples=7, steps=steps, learning_rate=0.05, activation=relu(1e-4), box=BOX,
            products="positions", largest_score=100.0,
        ),
        lambda: _deep(0.05),
        deep_regression,
        parts="positions, train bit, weights know n",
        attention="relu",
    ),
    Entry(
        "deep_standard",
        "Wu et al. 2024",
        "Theorem 1 by ReLU attention alone, N = 3",
        lambda steps: deep_standard(
            NETWORK, examples=7, steps=steps, learning_rate=0.05, sharpness=1e4, box=BOX
        ),
        lambda: _deep(0.05),
        deep_regression,
        parts="train bit, weights know n",
        attention="relu",
    ),
    Entry(
        "deep_standard_early",
        "Wu et al. 2024",
        "Theorem 1 by ReLU attention alone, errors beside outputs",
        lambda steps: deep_standard(
            NETWORK,
            examples=7,
            steps=steps,
            learning_rate=0.05,
            sharpness=1e4,
            box=BOX,
            early=True,
        ),
        lambda: _deep(0.05),
        deep_regression,
        parts="train bit, weights know n",
        attention="relu",
    ),
    Entry(
        "deep_softmax",
        "Wu et al. 2024",
        "Theorem 2 made explicit, N = 3, beta = 1e-4",
        lambda steps: deep_softmax(
            NETWORK, steps=steps, learning_rate=0.05, beta=1e-4, sink=30.0, sharpness=1e4, box=BOX
        ),
        lambda: _deep(0.05),
        deep_regression,
        bound=1e-7,
        parts="sink token",
    ),
)  # fmt: skip
