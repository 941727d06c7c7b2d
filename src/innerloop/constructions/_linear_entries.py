"""Entries of constructions that descend on linear models and in function spaces."""

import jax.numpy as jnp
import numpy as np

from innerloop import algorithms
from innerloop.collectives import attend
from innerloop.constructions._copying import copying_gradient_descent
from innerloop.constructions._deep_features import Features, deep_features
from innerloop.constructions._entry import D, Entry, P, regression
from innerloop.constructions._functional_gradient_descent import (
    KernelHead,
    functional_gradient_descent,
)
from innerloop.constructions._gd_plus_plus import gd_plus_plus
from innerloop.constructions._gradient_descent import gradient_descent
from innerloop.constructions._newton import newton
from innerloop.constructions._preconditioned_gradient_descent import (
    preconditioned_gradient_descent,
)
from innerloop.constructions._softmax_pair import softmax_gradient_descent
from innerloop.kernels import Kernel
from innerloop.learners import Learner

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
