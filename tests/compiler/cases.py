"""Networks, update rules and losses that compiled models are tested on.

A network is (apply, params, N), where N is the number of matrix-vector products on its longest
path. Axes are primes: d = 3 covariates, p = 2 targets, hidden layers of 5, 7 and 11.
"""

import zlib
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax

import innerloop as il
from tests.oracles import mlp

SIZES = {
    1: (3, 2),
    2: (3, 5, 2),
    3: (3, 5, 7, 2),
    4: (3, 5, 7, 5, 2),
    6: (3, 5, 7, 5, 7, 5, 2),
}
RATE = 0.03


def prompt_of(rng, *, n=11, m=5, d=3, p=2):
    """Noisy targets of normal covariates."""
    x, xq = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    y = np.tanh(x @ rng.normal(size=(d, p))) + 0.3 * rng.normal(size=(n, p))
    return il.Prompt(x, y, xq)


def apply_mlp(layers, x, activation=jax.nn.relu):
    """A multilayer perceptron with biases."""
    for weights, bias in layers[:-1]:
        x = activation(weights @ x + bias)
    weights, bias = layers[-1]
    return weights @ x + bias


def matrix(rng, rows, columns):
    """A random matrix that keeps the size of what it is applied to."""
    return rng.normal(size=(rows, columns)) / np.sqrt(columns)


def _mlp(layers):
    return lambda rng: (apply_mlp, mlp.draw(rng, SIZES[layers]), layers)


def residual(rng):
    """Two residual blocks between a map in and a map out."""

    def apply(params, x):
        h = params["in"] @ x + params["bias"]
        h = h + jax.nn.relu(params["one"] @ h)
        h = h + params["back"] @ jax.nn.relu(params["two"] @ h)
        return h @ params["out"]

    params = {
        "in": matrix(rng, 5, 3),
        "bias": 0.1 * rng.normal(size=5),
        "one": matrix(rng, 5, 5) / 2,
        "two": matrix(rng, 7, 5) / 2,
        "back": matrix(rng, 5, 7) / 2,
        "out": matrix(rng, 2, 5).T,
    }
    return apply, params, 5


def tied(rng):
    """One matrix, used three times."""

    def apply(params, x):
        h = params["in"] @ x
        for _ in range(3):
            h = jax.nn.relu(params["again"] @ h + params["bias"])
        return params["out"] @ h

    params = {
        "in": matrix(rng, 5, 3),
        "again": matrix(rng, 5, 5),
        "bias": 0.2 * rng.normal(size=5),
        "out": matrix(rng, 2, 5),
    }
    return apply, params, 5


def two_heads(rng):
    """A trunk and two heads, one of them deeper."""

    def apply(params, x):
        h = jax.nn.relu(params["trunk"] @ x + params["bias"])
        shallow = params["head"] @ h
        deep = params["top"] @ jax.nn.relu(params["middle"] @ h)
        return jnp.concatenate([shallow, deep])

    params = {
        "trunk": matrix(rng, 7, 3),
        "bias": 0.1 * rng.normal(size=7),
        "head": matrix(rng, 1, 7),
        "middle": matrix(rng, 5, 7),
        "top": matrix(rng, 1, 5),
    }
    return apply, params, 3


NETWORKS = {
    **{f"mlp-{layers}": _mlp(layers) for layers in SIZES},
    "residual": residual,
    "tied": tied,
    "two-heads": two_heads,
}


def inverse_decay(count):
    """A learning rate in float64; optax's own schedules are float32 whatever the precision is."""
    return 2 * RATE / (1.0 + 0.3 * jnp.asarray(count, float))


OPTIMIZERS = {
    "sgd": optax.sgd(RATE),
    "momentum": optax.sgd(RATE, momentum=0.9),
    "nesterov": optax.sgd(RATE, momentum=0.9, nesterov=True),
    "weight-decay": optax.chain(optax.add_decayed_weights(0.1), optax.sgd(RATE)),
    "schedule": optax.sgd(inverse_decay),
    "sign": optax.sign_sgd(1e-3),
}

STEPS = (1, 2, 5, 50)
CONTEXTS = (1, 7, 64, 1000)

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "relu6": jax.nn.relu6,
    "hard_tanh": jax.nn.hard_tanh,
    "abs": jnp.abs,
    "max": lambda v: jnp.maximum(v, 0.1),
    "min": lambda v: jnp.minimum(v, 0.3),
    "clip": lambda v: jnp.clip(v, -0.2, 0.5),
    "where": lambda v: jnp.where(v > 0.0, v, -2.0 * v),
    "maxout": lambda v: jnp.maximum(v, jnp.roll(v, 1)),
}

LOSSES = {
    "squared": il.squared_error,
    "absolute": lambda prediction, y: jnp.sum(jnp.abs(prediction - y)),
    "huber": lambda prediction, y: jnp.sum(optax.huber_loss(prediction, y, delta=0.7)),
    "quantile": lambda prediction, y: jnp.sum(
        jnp.maximum(0.8 * (y - prediction), -0.2 * (y - prediction))
    ),
    "hinge": lambda prediction, y: jnp.sum(jnp.maximum(0.0, 1.0 - prediction * y)),
}


def learner_of(network, optimizer, rng, *, loss=il.squared_error):
    """A learner of the registries, and its N."""
    apply, params, layers = NETWORKS[network](rng)
    return il.learner(apply, params, optimizer=OPTIMIZERS[optimizer], loss=loss), layers


@cache
def trained(network, optimizer, steps, n):
    """A learner, a prompt, the learner's predictions after every step, and N."""
    rng = np.random.default_rng(zlib.crc32(f"{network} {optimizer} {steps} {n}".encode()))
    prompt = prompt_of(rng, n=n)
    learner, layers = learner_of(network, optimizer, rng)
    expected = il.run(learner, prompt, steps=steps)
    assert np.abs(expected[-1] - expected[0]).max() > 1e-4, "the learner must learn something"
    return learner, prompt, expected, layers


JUMPS = ("absolute", "quantile")
"""Losses whose gradient is a jump: a difference of hinges of slope 1e6, and so is its rounding."""


def assert_same(found, expected, tolerance=1e-10):
    """Equal at every step and query, relative to the largest prediction of that step."""
    assert found.shape == expected.shape
    scale = np.abs(expected).max(axis=(-2, -1), keepdims=True)
    difference = np.abs(found - expected) / scale
    assert difference.max() <= tolerance, f"largest relative difference {difference.max():.2e}"


def assert_seen(found, expected):
    """What a deliberate fault must do: a difference far above rounding."""
    difference = np.abs(found - expected).max()
    assert not difference <= 1e-6, f"the fault is not seen: largest difference {difference:.2e}"
