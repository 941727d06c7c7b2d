"""Every construction, with the algorithm that it runs and a prompt that it can be given.

The laws of `tests/constructions` and the table of `docs/constructions.md` loop over this tuple.
Sizes are primes: n = 13 examples, m = 7 queries, d = 3 covariates, p = 2 targets.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from innerloop import algorithms
from innerloop.collectives import attend
from innerloop.constructions._construction import Construction
from innerloop.constructions._convex_gradient_descent import convex_gradient_descent
from innerloop.constructions._convex_gradient_descent import logistic as logistic_loss
from innerloop.constructions._copying import copying_gradient_descent
from innerloop.constructions._deep_features import Features, deep_features
from innerloop.constructions._functional_gradient_descent import (
    KernelHead,
    functional_gradient_descent,
)
from innerloop.constructions._gd_plus_plus import gd_plus_plus
from innerloop.constructions._gradient_descent import gradient_descent
from innerloop.constructions._lasso import lasso
from innerloop.constructions._newton import newton
from innerloop.constructions._preconditioned_gradient_descent import (
    preconditioned_gradient_descent,
)
from innerloop.constructions._softmax_pair import softmax_gradient_descent
from innerloop.kernels import Kernel
from innerloop.learners import Learner, learner
from innerloop.prompts import Prompt


class Entry(NamedTuple):
    """One theorem of the literature.

    Args:
        name: Its name in tests and tables.
        paper: Authors and year.
        statement: Which proposition.
        construct: From a number of steps to the construction that takes them.
        algorithm: What it runs, as a learner; `run` with the same number of steps must agree.
        prompts: From a numpy generator to a prompt.
        bound: The largest difference from the algorithm on such a prompt, five steps deep; 0 where
            the construction is exact.
        parts: What an ordinary transformer of its kind of attention does not have.
    """

    name: str
    paper: str
    statement: str
    construct: Callable[[int], Construction]
    algorithm: Callable[[], Learner]
    prompts: Callable[[np.random.Generator], Prompt]
    bound: float = 0.0
    parts: str = ""


def regression(rng: np.random.Generator) -> Prompt:
    """Two noisy linear targets of three covariates in `[-1, 1]`."""
    x, xq = (rng.uniform(-1, 1, size=(rows, 3)) for rows in (13, 7))
    y = x @ rng.uniform(-1, 1, size=(3, 2)) + rng.uniform(-0.3, 0.6, size=(13, 2))
    return Prompt(x, y, xq)


def classification(rng: np.random.Generator) -> Prompt:
    """One target, 0 or 1, by the sign of a noisy linear function."""
    prompt = regression(rng)
    return Prompt(prompt.x, (prompt.y[:, :1] > 0.1).astype(float), prompt.xq)


D, P = 3, 2
WEIGHTS = np.array([[0.5, -0.3, 0.2], [-0.1, 0.4, 0.6]])
FEATURES = Features(
    input=np.array([[1.0, 0.5, 0.0], [-0.5, 0.0, 1.0], [0.0, -1.0, 0.5], [0.7, 0.7, -0.7]]),
    bias=np.array([0.1, 0.3, 0.2, -0.1]),
    output=np.array([[1.0, 0.5, 0.0, -0.5], [0.0, 0.5, 1.0, 0.5]]),
)


def _features(x: jnp.ndarray) -> jnp.ndarray:
    hidden = jnp.maximum(jnp.asarray(FEATURES.input) @ x + jnp.asarray(FEATURES.bias), 0.0)
    return jnp.asarray(FEATURES.output) @ hidden


def _on_features(inner: Learner) -> Learner:
    """A learner on the features of the covariates."""

    def init(x, y):
        shared, local = inner.init(_features(x), y)
        return shared, (_features(x), local)

    def step(shared, local, x, y):
        del x
        shared, inside = inner.step(shared, local[1], local[0], y)
        return shared, (local[0], inside)

    def predict(shared, local, x):
        del x
        return inner.predict(shared, local[1], local[0])

    return Learner(init, step, predict)


VON_OSWALD = (
    Entry(
        "gradient_descent",
        "von Oswald et al. 2022",
        "Proposition 1, K layers",
        lambda steps: gradient_descent(d=D, p=P, steps=steps, learning_rate=0.8, weights=WEIGHTS),
        # Written for tokens: `gradient_descent` keeps W, and compiles into two layers a step.
        lambda: algorithms.gd_plus_plus(0.8, 0.0, weights=WEIGHTS),
        regression,
    ),
    Entry(
        "gd_plus_plus",
        "von Oswald et al. 2022",
        "A.10, GD++",
        lambda steps: gd_plus_plus(d=D, p=P, steps=steps, learning_rate=0.8, curvature=0.3),
        lambda: algorithms.gd_plus_plus(0.8, 0.3),
        regression,
    ),
    Entry(
        "deep_features",
        "von Oswald et al. 2022",
        "Proposition 2, MLP and attention",
        lambda steps: deep_features(FEATURES, p=2, steps=steps, learning_rate=0.4),
        lambda: _on_features(algorithms.functional_gradient_descent(0.4, kernel="linear")),
        regression,
    ),
    Entry(
        "copying",
        "von Oswald et al. 2022",
        "Proposition 3, linear copying",
        lambda steps: copying_gradient_descent(
            d=D, p=P, examples=13, steps=steps, learning_rate=0.8
        ),
        lambda: algorithms.functional_gradient_descent(0.8, kernel="linear"),
        regression,
        parts="positions",
    ),
    Entry(
        "copying_softmax",
        "von Oswald et al. 2022",
        "Proposition 3, softmax copying, beta = 20",
        lambda steps: copying_gradient_descent(
            d=D, p=P, examples=13, steps=steps, learning_rate=0.8, beta=20.0
        ),
        lambda: algorithms.functional_gradient_descent(0.8, kernel="linear"),
        regression,
        bound=1e-6,
        parts="positions, register token",
    ),
    Entry(
        "softmax_pair",
        "von Oswald et al. 2022",
        "A.9, two softmax heads, delta = 1e-3",
        lambda steps: softmax_gradient_descent(
            d=D, p=P, steps=steps, learning_rate=0.8, delta=1e-3, sink=25.0
        ),
        lambda: algorithms.functional_gradient_descent(0.8, kernel="linear"),
        regression,
        bound=1e-6,
        parts="sink token",
    ),
)

STEP = np.array([[0.8, 0.1, 0.0], [0.0, 0.9, -0.1], [0.2, 0.0, 1.1]])
TRANSFORM = np.array([[0.3, 0.0, 0.1], [0.1, 0.2, 0.0], [0.0, -0.1, 0.4]])


def _sparse(step: np.ndarray, transform: np.ndarray) -> Learner:
    """Ahn et al.'s family (11) as one token sees it."""

    def init(x, y):
        return (), (x, jnp.zeros_like(y))

    def step_(shared, local, x, y):
        del x
        z, prediction = local
        query = jnp.asarray(step, z.dtype) @ z
        move = attend(query, z, y - prediction, mean=True)
        shrink = jnp.asarray(transform, z.dtype) @ attend(query, z, z, mean=True)
        return shared, (z - shrink, prediction + move)

    def predict(shared, local, x):
        del shared, x
        return local[1]

    return Learner(init, step_, predict)


AHN = (
    Entry(
        "preconditioned_gradient_descent",
        "Ahn et al. 2023",
        "Lemma 1, family (8)",
        lambda steps: preconditioned_gradient_descent(STEP[None], p=P, repeats=steps),
        lambda: _sparse(STEP, np.zeros((D, D))),
        regression,
    ),
    Entry(
        "preconditioned_gd_plus_plus",
        "Ahn et al. 2023",
        "Theorem 4, family (11)",
        lambda steps: preconditioned_gradient_descent(
            STEP[None], p=P, transforms=TRANSFORM[None], repeats=steps
        ),
        lambda: _sparse(STEP, TRANSFORM),
        regression,
    ),
)

FU = (
    Entry(
        "newton",
        "Fu et al. 2023",
        "Theorem 5.1, ReLU attention",
        lambda steps: newton(d=D, p=P, steps=steps, scale=0.2),
        lambda: algorithms.newton_schulz(0.2),
        regression,
    ),
    Entry(
        "newton_linear",
        "Fu et al. 2023",
        "Theorem 5.1, linear attention",
        lambda steps: newton(d=D, p=P, steps=steps, scale=0.2, relu=False),
        lambda: algorithms.newton_schulz(0.2),
        regression,
    ),
)

CHENG = tuple(
    Entry(
        f"functional_gradient_descent_{name}",
        "Cheng et al. 2023",
        f"Proposition 1, h = {name}",
        lambda steps, name=name: functional_gradient_descent(
            [KernelHead(Kernel(name))], d=D, p=P, steps=steps, learning_rate=0.5
        ),
        lambda name=name: algorithms.functional_gradient_descent(0.5, kernel=name),
        regression,
    )
    for name in ("linear", "relu", "exp", "softmax")
)


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
)

CONSTRUCTIONS = (*VON_OSWALD, *AHN, *FU, *CHENG, *BAI)
