"""Entries of constructions whose tokens carry linear weights: convex losses and the Lasso."""

import jax.numpy as jnp
import numpy as np
import optax

from innerloop.collectives import attend
from innerloop.constructions._convex_gradient_descent import convex_gradient_descent
from innerloop.constructions._convex_gradient_descent import logistic as logistic_loss
from innerloop.constructions._entry import D, Entry, P, classification, regression
from innerloop.constructions._lasso import lasso
from innerloop.constructions._two_layer_network import two_layer_network
from innerloop.learners import Learner, learner
from innerloop.prompts import Prompt


def _carried(learning_rate: float, *, ridge: float = 0.0, threshold: float = 0.0) -> Learner:
    """Proximal gradient descent on a linear model whose weights every token carries."""

    def init(x, y):
        return (), jnp.zeros(len(y) * len(x), x.dtype)

    def step(shared, weights, x, y):
        d, minus = len(x), -jnp.ones(1, x.dtype)
        slopes = [
            attend(
                jnp.concatenate([weights[k * d : k * d + d], minus]),
                jnp.concatenate([x, y[k : k + 1]]),
                x,
                mean=True,
            )
            for k in range(len(y))
        ]
        moved = weights - learning_rate * (jnp.concatenate(slopes) + ridge * weights)
        if not threshold:
            return shared, moved
        shrunk = jnp.maximum(moved - threshold, 0.0) - jnp.maximum(-moved - threshold, 0.0)
        return shared, shrunk

    def predict(shared, weights, x):
        del shared
        return weights.reshape(-1, len(x)) @ x

    return Learner(init, step, predict)


HIDDEN = np.array([[1.0, 0.3, -0.2], [-0.4, 0.8, 0.5], [0.3, -0.6, 0.9], [-0.7, -0.5, -0.3]])
OUTPUT = np.array([[0.7, -0.5, 0.4, 0.6]])


def single_target(rng: np.random.Generator) -> Prompt:
    """The first target of a regression."""
    prompt = regression(rng)
    return Prompt(prompt.x, prompt.y[:, :1], prompt.xq)


BAI = (
    Entry(
        "convex_gradient_descent",
        "Bai et al. 2023",
        "Theorem 13, squared error",
        lambda steps: convex_gradient_descent(d=D, p=P, steps=steps, learning_rate=0.8),
        lambda: _carried(0.8),
        regression,
    ),
    Entry(
        "ridge",
        "Bai et al. 2023",
        "Theorem 4, ridge",
        lambda steps: convex_gradient_descent(
            d=D, p=P, steps=steps, learning_rate=0.8, penalty=0.1
        ),
        lambda: _carried(0.8, ridge=0.1),
        regression,
    ),
    Entry(
        "lasso",
        "Bai et al. 2023",
        "Theorem 10, Lasso",
        lambda steps: lasso(d=D, p=P, steps=steps, learning_rate=0.8, penalty=0.05),
        lambda: _carried(0.8, threshold=0.04),
        regression,
    ),
    Entry(
        "logistic",
        "Bai et al. 2023",
        "Theorem 7, logistic loss, 64 hinges",
        lambda steps: convex_gradient_descent(
            d=D, p=1, steps=steps, learning_rate=2.0, loss=logistic_loss(4.0, 64)
        ),
        lambda: learner(
            lambda w, x: w @ x,
            np.zeros((1, D)),
            optimizer=optax.sgd(2.0),
            loss=lambda t, y: jnp.sum(jnp.log1p(jnp.exp(t)) - y * t),
        ),
        classification,
        bound=2e-3,
    ),
    Entry(
        "two_layer_network",
        "Bai et al. 2023",
        "Theorem G.1, ReLU",
        lambda steps: two_layer_network(
            HIDDEN, OUTPUT[0], steps=steps, learning_rate=0.3, sharpness=1e4
        ),
        lambda: learner(
            lambda w, x: w[1] @ jnp.maximum(w[0] @ x, 0.0),
            (HIDDEN, OUTPUT),
            optimizer=optax.sgd(0.3),
        ),
        single_target,
    ),
)
