"""The learners, rules and targets of the table of what compiles, and one cell of it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

import innerloop as il

STEPS, SAMPLE, PROMPTS = 2, 60, 100


def relu_layers(layers: list, x: jax.Array, activation: Callable = jax.nn.relu) -> jax.Array:
    """A multilayer perceptron with biases."""
    for weights, bias in layers[:-1]:
        x = activation(weights @ x + bias)
    weights, bias = layers[-1]
    return weights @ x + bias


def drawn(rng: np.random.Generator, *sizes: int) -> list:
    """Random weights, small biases."""
    return [
        (rng.normal(size=(b, a)) / np.sqrt(a), 0.1 * rng.normal(size=b))
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]


def residual(params: dict, x: jax.Array) -> jax.Array:
    """A residual block between a map in and a map out."""
    h = params["in"] @ x
    h = h + params["back"] @ jax.nn.relu(params["one"] @ h)
    return params["out"] @ h


def tied(params: dict, x: jax.Array) -> jax.Array:
    """One matrix, used in two residual blocks."""
    h = params["in"] @ x
    for _ in range(2):
        h = h + jax.nn.relu(params["again"] @ h)
    return params["out"] @ h


def two_heads(params: dict, x: jax.Array) -> jax.Array:
    """A trunk and two heads, one of them deeper."""
    h = jax.nn.relu(params["trunk"] @ x)
    deep = params["top"] @ jax.nn.relu(params["middle"] @ h)
    return jnp.concatenate([params["head"] @ h, deep])


def cross_entropy(logits: jax.Array, y: jax.Array) -> jax.Array:
    """Softmax cross-entropy."""
    return -jnp.sum(y * jax.nn.log_softmax(logits))


def sigmoid_cross_entropy(logits: jax.Array, y: jax.Array) -> jax.Array:
    """The logistic loss of each output."""
    return jnp.sum(optax.sigmoid_binary_cross_entropy(logits, y))


def huber(prediction: jax.Array, y: jax.Array) -> jax.Array:
    """Squared near, absolute far."""
    return jnp.sum(optax.huber_loss(prediction, y, delta=0.5))


def _matrices(rng: np.random.Generator, **shapes: tuple[int, int]) -> dict:
    return {name: rng.normal(size=s) / np.sqrt(s[1]) for name, s in shapes.items()}


def _with(activation: Callable) -> Callable:
    return lambda layers, x: relu_layers(layers, x, activation)


MODELS: dict[str, tuple[Callable, Callable, Callable]] = {
    "linear": (relu_layers, lambda r: drawn(r, 3, 2), il.squared_error),
    "ReLU, 2 layers": (relu_layers, lambda r: drawn(r, 3, 5, 2), il.squared_error),
    "ReLU, 3 layers": (relu_layers, lambda r: drawn(r, 3, 5, 7, 2), il.squared_error),
    "ReLU, 4 layers": (relu_layers, lambda r: drawn(r, 3, 5, 7, 5, 2), il.squared_error),
    "residual": (
        residual,
        lambda r: _matrices(r, **{"in": (5, 3), "one": (5, 5), "back": (5, 5), "out": (2, 5)}),
        il.squared_error,
    ),
    "tied weights": (
        tied,
        lambda r: _matrices(r, **{"in": (5, 3), "again": (5, 5), "out": (2, 5)}),
        il.squared_error,
    ),
    "two heads": (
        two_heads,
        lambda r: _matrices(r, trunk=(5, 3), head=(1, 5), middle=(3, 5), top=(1, 3)),
        il.squared_error,
    ),
    "leaky ReLU, Huber": (_with(jax.nn.leaky_relu), lambda r: drawn(r, 3, 5, 2), huber),
    "tanh": (_with(jnp.tanh), lambda r: drawn(r, 3, 5, 2), il.squared_error),
    "GELU": (_with(jax.nn.gelu), lambda r: drawn(r, 3, 5, 2), il.squared_error),
    "ReLU, cross-entropy": (relu_layers, lambda r: drawn(r, 3, 5, 2), cross_entropy),
    "logistic regression": (relu_layers, lambda r: drawn(r, 3, 2), sigmoid_cross_entropy),
}
"""By name: the network, its first parameters, its loss."""

_DEFAULT = (
    "adam", "adamw", "nadam", "adamax", "amsgrad", "adabelief", "radam", "rmsprop", "adagrad",
    "lamb", "lars", "novograd", "yogi",
)  # fmt: skip
RULES: dict[str, Callable[[], optax.GradientTransformation]] = {
    "sgd": lambda: optax.sgd(0.05),
    "momentum": lambda: optax.sgd(0.05, momentum=0.9),
    "Nesterov": lambda: optax.sgd(0.05, momentum=0.9, nesterov=True),
    "weight decay": lambda: optax.chain(optax.add_decayed_weights(1e-2), optax.sgd(0.05)),
    "clipped by value": lambda: optax.chain(optax.clip(0.05), optax.sgd(0.05)),
    "clipped by norm": lambda: optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.05)),
    "lion": lambda: optax.lion(1e-2),
    **{name: (lambda name=name: getattr(optax, name)(1e-2)) for name in _DEFAULT},
}
"""By name: the optimiser."""
EVERYDAY = ("sgd", "momentum", "Nesterov", "weight decay", "clipped by value", "lion")
"""The rules that are tried on softmax attention and ReLU neurons too."""
TARGETS = {
    "linear, ReGLU": ({"attention": "linear", "mlp": "reglu", "tolerance": 1e-6}, tuple(RULES)),
    "softmax, ReLU": ({"attention": "softmax", "mlp": "relu", "tolerance": 1e-5}, EVERYDAY),
}
"""By name: the arguments of `il.compile`, and the rules."""


@dataclass(frozen=True)
class Cell:
    """A learner in a target: compiled and measured, or refused.

    Args:
        target: A key of `TARGETS`.
        model: A key of `MODELS`.
        rule: A key of `RULES`.
        refused: Why, or nothing.
        layers: A step.
        width: Of the residual stream.
        heads: In the layer that has most.
        neurons: In the layer that has most.
        exact: Whether only rounding and ramps separate it from the learner.
        error: The largest relative difference, over all prompts, steps and queries.
        bound: The largest of the bounds proved for these prompts.
        prompts: How many these are.
    """

    target: str
    model: str
    rule: str
    refused: str = ""
    layers: int = 0
    width: int = 0
    heads: int = 0
    neurons: int = 0
    exact: bool = False
    error: float = 0.0
    bound: float = 0.0
    prompts: int = PROMPTS


def cells() -> list[tuple[str, str, str]]:
    """What there is to compute."""
    return [
        (target, model, rule)
        for target, (_, rules) in TARGETS.items()
        for model in MODELS
        for rule in rules
    ]


def prompts(rng: np.random.Generator, loss: Callable, count: int) -> list[il.Prompt]:
    """Normal covariates, noisy targets of one teacher; labels where the loss asks for them."""
    teacher = np.array([[0.5, -0.4], [-0.3, 0.2], [0.1, 0.6]])
    made = []
    for _ in range(count):
        x, xq = rng.normal(size=(11, 3)), rng.normal(size=(3, 3))
        y = x @ teacher + 0.3 * rng.normal(size=(11, 2))
        if loss is cross_entropy:
            y = np.eye(2)[y.argmax(axis=1)]
        if loss is sigmoid_cross_entropy:
            y = (y > 0).astype(float)
        made.append(il.Prompt(x, y, xq))
    return made


def computed(target: str, model: str, rule: str) -> dict:
    """One cell, as a record."""
    apply, first, loss = MODELS[model]
    rng = np.random.default_rng(7)
    learner = il.learner(apply, first(rng), optimizer=RULES[rule](), loss=loss)
    sample, tried = (prompts(rng, loss, count) for count in (SAMPLE, PROMPTS))
    options, _ = TARGETS[target]
    try:
        made = il.compile(learner, steps=STEPS, like=sample, **options)
    except il.CompileError as error:
        return asdict(Cell(target, model, rule, refused=str(error.refusals[0])))
    certificate = il.certify(made, learner, tried).certificate
    blocks = made.transformer.blocks
    heads = max(int(sum(a.readers[i].any(-1).sum() for a in blocks.attention)) for i in
                range(len(blocks.mlp.b_out)))  # fmt: skip
    neurons = int((blocks.mlp.W_out != 0).any(axis=1).sum(axis=1).max(initial=0))
    return asdict(
        Cell(
            target, model, rule, "", made.sections.step, made.width, heads, neurons,
            certificate.exact, certificate.measured or 0.0, certificate.bound or 0.0,
        )
    )  # fmt: skip
