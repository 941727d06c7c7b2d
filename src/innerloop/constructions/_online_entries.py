"""Entries of constructions that read the context in order, or solve for each query."""

import jax
import jax.numpy as jnp
import numpy as np

from innerloop import algorithms
from innerloop.collectives import attend
from innerloop.constructions._entry import D, Entry, P, regression
from innerloop.constructions._mesa import momentum_inverse
from innerloop.constructions._online import online_gradient_descent, sherman_morrison
from innerloop.learners import Learner
from innerloop.prompts import Prompt
from innerloop.tokens import CONTEXT


def ordered(rng: np.random.Generator) -> Prompt:
    """A regression with each example's position as one more covariate; queries have 0."""
    prompt = regression(rng)
    return Prompt(
        np.column_stack([prompt.x, np.arange(1.0, prompt.n + 1)]),
        prompt.y,
        np.column_stack([prompt.xq, np.zeros(prompt.m)]),
    )


def _momentum_inverse(alpha: float, beta: float, penalty: float) -> Learner:
    """Momentum iterations for `(sum x x^T + penalty I) z = x`, in every token its own."""

    def init(x, y):
        return (), (jnp.zeros_like(x), jnp.zeros_like(x), y)

    def step(shared, local, x, y):
        del y
        z, move, target = local
        residual = x - attend(z, x, x) - penalty * z
        move = beta * move + alpha * residual
        return shared, (z + move, move, target)

    def predict(shared, local, x):
        del shared
        z, _, target = local
        return attend(z, x, target)

    return Learner(init, step, predict)


def _online_gradient_descent(learning_rate: float, penalty: float) -> Learner:
    """SGD in the order of positions: the example whose turn it is passes a hat function."""

    def init(x, y):
        return (jnp.zeros((len(y), len(x) - 1), x.dtype), jnp.ones((), x.dtype)), ()

    def step(shared, local, x, y):
        weights, turn = shared
        is_turn = jnp.maximum(0.0, 1.0 - jnp.abs(x[-1] - turn))
        covariates, target = jax.lax.psum((is_turn * x[:-1], is_turn * y), CONTEXT)
        slope = jnp.outer(weights @ covariates - target, covariates) + penalty * weights
        return (weights - 2 * learning_rate * slope, turn + 1.0), local

    def predict(shared, local, x):
        del local
        return shared[0] @ x[:-1]

    return Learner(init, step, predict)


AKYUREK = (
    Entry(
        "online_gradient_descent",
        "Akyurek et al. 2023",
        "Theorem 1, GeLU products, delta = 1e-3",
        lambda steps: online_gradient_descent(
            d=D, p=P, examples=13, steps=steps, learning_rate=0.1, penalty=0.3, delta=1e-3
        ),
        lambda: _online_gradient_descent(0.1, 0.3),
        ordered,
        bound=1e-5,
        parts="positions",
    ),
    Entry(
        "sherman_morrison",
        "Akyurek et al. 2023",
        "Theorem 2, div by 256 hinges",
        lambda steps: sherman_morrison(
            d=D, p=P, examples=13, steps=steps, penalty=0.5, largest=6.0, hinges=256
        ),
        lambda: algorithms.recursive_least_squares(0.5),
        ordered,
        bound=1e-4,
        parts="positions",
    ),
)

MESA = (
    Entry(
        "momentum_inverse",
        "von Oswald et al. 2023",
        "Proposition 2",
        lambda steps: momentum_inverse(
            d=D, p=P, alphas=(0.1,) * steps, betas=(0.3,) * steps, penalty=0.7
        ),
        lambda: _momentum_inverse(0.1, 0.3, 0.7),
        regression,
    ),
)
