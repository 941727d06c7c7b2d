"""Random learners: networks, losses and rules, of exact operations or with smooth ones as well.

A network is a list of layers drawn one by one, each a function `(params, values) -> value` that
reads earlier values; every value is a vector. What was drawn is written down in `description`.
"""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import optax
from hypothesis import strategies as st

import innerloop as il

WIDTHS = (1, 2, 3, 5)
KINKS = {
    "relu": jax.nn.relu,
    "leaky": lambda v: jax.nn.leaky_relu(v, 0.2),
    "abs": jnp.abs,
    "at least": lambda v: jnp.maximum(v, -0.15),
    "at most": lambda v: jnp.minimum(v, 0.35),
    "clip": lambda v: jnp.clip(v, -0.45, 0.55),
    "where": lambda v: jnp.where(v > 0.05, 2.0 * v, -0.5 * v),
}
CURVES = {
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "gelu": jax.nn.gelu,
    "softplus": jax.nn.softplus,
    "exp of clip": lambda v: jnp.exp(jnp.clip(v, -2.0, 1.0)),
}
LOSSES = {
    "squared": il.squared_error,
    "absolute": lambda a, y: jnp.sum(jnp.abs(a - y)),
    "huber": lambda a, y: jnp.sum(optax.huber_loss(a, y, delta=0.4)),
}
SMOOTH_LOSSES = {
    "squared": il.squared_error,
    "logistic": lambda a, y: jnp.sum(optax.sigmoid_binary_cross_entropy(a, y)),
    "cross-entropy": optax.softmax_cross_entropy,
}
RULES = {
    "sgd": optax.sgd(0.05),
    "momentum": optax.sgd(0.05, momentum=0.8),
    "nesterov": optax.sgd(0.05, momentum=0.8, nesterov=True),
    "weight decay": optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.05)),
    "clipped": optax.chain(optax.clip(0.3), optax.sgd(0.05)),
}
SMOOTH_RULES = {
    "sgd": optax.sgd(0.05),
    "momentum": optax.sgd(0.05, momentum=0.8),
    "adam": optax.adam(0.02),
    "calm adam": optax.adam(0.02, eps=1e-3),
    "rmsprop": optax.rmsprop(0.02, eps=1e-3),
    "lion": optax.lion(0.01),
    "norm clipped": optax.chain(optax.clip_by_global_norm(0.4), optax.sgd(0.05)),
}


@dataclass
class Network:
    """A network while it is drawn: what each layer does, and the sizes of all values so far."""

    rng: np.random.Generator
    layers: list = field(default_factory=list)
    params: dict = field(default_factory=dict)
    sizes: list = field(default_factory=list)
    description: list = field(default_factory=list)

    def param(self, *shape):
        name = f"p{len(self.params)}"
        scale = np.sqrt(shape[-1]) if len(shape) == 2 else 2.0
        self.params[name] = self.rng.normal(size=shape) / scale
        return name

    def add(self, words, size, layer):
        self.layers.append(layer)
        self.sizes.append(size)
        self.description.append(f"v{len(self.sizes) - 1} = {words}  [{size}]")

    def __call__(self, params, x):
        values = [x]
        for layer in self.layers:
            values.append(layer(params, values))
        return values[-1]


def _matvec(draw, net, i):
    size = draw(st.sampled_from(WIDTHS))
    turned = draw(st.booleans())
    w = net.param(*((net.sizes[i], size) if turned else (size, net.sizes[i])))
    if turned:
        net.add(f"v{i} @ {w}", size, lambda p, v: v[i] @ p[w])
    else:
        net.add(f"{w} @ v{i}", size, lambda p, v: p[w] @ v[i])


def _bias(draw, net, i):
    b = net.param(net.sizes[i])
    net.add(f"v{i} + {b}", net.sizes[i], lambda p, v: v[i] + p[b])


def _gain(draw, net, i):
    g = net.param(*draw(st.sampled_from([(), (net.sizes[i],)])))
    net.add(f"{g} * v{i}", net.sizes[i], lambda p, v: p[g] * v[i])


def _kink(draw, net, i):
    name = draw(st.sampled_from(sorted(KINKS)))
    net.add(f"{name}(v{i})", net.sizes[i], lambda p, v: KINKS[name](v[i]))


def _curve(draw, net, i):
    name = draw(st.sampled_from(sorted(CURVES)))
    net.add(f"{name}(v{i})", net.sizes[i], lambda p, v: CURVES[name](v[i]))


def _normed(draw, net, i):
    def layer(p, v):
        centred = v[i] - jnp.mean(v[i])
        return centred * jax.lax.rsqrt(jnp.mean(centred**2) + 0.1)

    net.add(f"layer norm of v{i}", net.sizes[i], layer)


def _constant(draw, net, i):
    scale, shift = draw(st.sampled_from([(1.0, 0.25), (-0.5, 0.0), (0.75, -0.1)]))
    net.add(f"{scale} * v{i} + {shift}", net.sizes[i], lambda p, v: scale * v[i] + shift)


def _slice(draw, net, i):
    stop = draw(st.integers(1, net.sizes[i]))
    net.add(f"v{i}[:{stop}]", stop, lambda p, v: v[i][:stop])


def _reverse(draw, net, i):
    net.add(f"v{i}[::-1]", net.sizes[i], lambda p, v: v[i][::-1])


def _concatenate(draw, net, i):
    j = draw(st.integers(0, len(net.sizes) - 1))
    size = net.sizes[i] + net.sizes[j]
    net.add(f"concatenate(v{i}, v{j})", size, lambda p, v: jnp.concatenate([v[i], v[j]]))


def _sum(draw, net, i):
    net.add(f"sum(v{i})", 1, lambda p, v: jnp.sum(v[i])[None])


def _frozen(draw, net, i):
    net.add(f"stop_gradient(v{i})", net.sizes[i], lambda p, v: jax.lax.stop_gradient(v[i]))


def _mask(draw, net, i):
    same = [j for j, size in enumerate(net.sizes) if size == net.sizes[i]]
    j, k = draw(st.sampled_from(same)), draw(st.sampled_from(same))
    net.add(
        f"where(v{i} > 0.1, v{j}, v{k})",
        net.sizes[i],
        lambda p, v: jnp.where(v[i] > 0.1, v[j], v[k]),
    )


def _loop(draw, net, i):
    """The same layer twice, as a loop of fixed length."""
    size = net.sizes[i]
    w = net.param(size, size)
    net.add(
        f"relu({w} @ ...) twice from v{i}",
        size,
        lambda p, v: jax.lax.fori_loop(0, 2, lambda _, h: jax.nn.relu(p[w] @ h), v[i]),
    )


def _two(words, combine):
    def layer(draw, net, i):
        j = draw(st.sampled_from([j for j, size in enumerate(net.sizes) if size == net.sizes[i]]))
        net.add(words.format(i, j), net.sizes[i], lambda p, v: combine(v[i], v[j]))

    return layer


LAYERS = {
    "matvec": _matvec,
    "bias": _bias,
    "gain": _gain,
    "kink": _kink,
    "constant": _constant,
    "slice": _slice,
    "reverse": _reverse,
    "concatenate": _concatenate,
    "residual": _two("v{} + v{}", jnp.add),
    "difference": _two("v{} - v{}", jnp.subtract),
    "larger": _two("max(v{}, v{})", jnp.maximum),
    "smaller": _two("min(v{}, v{})", jnp.minimum),
    "product": _two("0.5 * v{} * v{}", lambda a, b: 0.5 * a * b),
    "sum": _sum,
    "frozen": _frozen,
    "mask": _mask,
    "loop": _loop,
}


SMOOTH_LAYERS = {**LAYERS, "curve": _curve, "another curve": _curve, "normed": _normed}


@dataclass
class Case:
    """A learner, two prompts of one shape, and in words how it was made."""

    learner: il.Learner
    prompt: il.Prompt
    fresh: il.Prompt
    description: str

    def __repr__(self):
        return self.description


@st.composite
def programs(draw, *, smooth=False, most=6):
    """A random learner with prompts; of exact operations only, unless `smooth`."""
    layers, losses, rules = (
        (SMOOTH_LAYERS, SMOOTH_LOSSES, SMOOTH_RULES) if smooth else (LAYERS, LOSSES, RULES)
    )
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    d, p = draw(st.sampled_from([(3, 2), (2, 1)]))
    net = Network(rng, sizes=[d])
    _matvec(draw, net, 0)
    for _ in range(draw(st.integers(0, most))):
        name = draw(st.sampled_from(sorted(layers)))
        layers[name](
            draw, net, len(net.sizes) - 1 - draw(st.integers(0, min(2, len(net.sizes) - 1)))
        )
    w = net.param(p, net.sizes[-1])
    last = len(net.sizes) - 1
    net.add(f"{w} @ v{last}", p, lambda params, v: params[w] @ v[last])
    loss, rule = draw(st.sampled_from(sorted(losses))), draw(st.sampled_from(sorted(rules)))
    n, m = draw(st.sampled_from([(1, 2), (7, 3)]))
    prompt, fresh = (prompt_of(rng, loss, n, m, d, p) for _ in range(2))
    learner = il.learner(net, net.params, optimizer=rules[rule], loss=losses[loss])
    words = [f"v0 = x  [{d}]", *net.description, f"{loss} loss, {rule}, n = {n}, seed {seed}"]

    return Case(learner, prompt, fresh, "\n" + "\n".join(words))


def prompt_of(rng, loss, n, m, d, p):
    """Normal numbers; classes where the loss asks for them."""
    x, y, xq = (rng.normal(size=shape) for shape in ((n, d), (n, p), (m, d)))
    if loss == "logistic":
        y = (y > 0).astype(float)
    if loss == "cross-entropy":
        y = np.eye(p)[np.argmax(y, axis=1)]
    return il.Prompt(x, y, xq)
