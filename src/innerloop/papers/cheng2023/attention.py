r"""What attention with a score function computes, and where its loss is stationary.

The recursion of Proposition 1 is written out with Gram matrices and compared with the residual
stream: predictions at queries, and the residuals that the context's tokens hold.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Float

import innerloop as il
from innerloop.constructions import KernelHead, functional_gradient_descent
from innerloop.models import Attention, Block, Transformer
from innerloop.papers.claims import Outcome, Scale, at_least, at_most
from innerloop.papers.symmetry import off_identity, signed_permutations, symmetric_root
from innerloop.tokens import CONTEXT_ROLE, QUERY_ROLE, READ_ROLES

D, N, M = 3, 11, 7
KERNELS = ("linear", "relu", "exp", "softmax", "rbf")
COVARIANCE = np.array([[1.0, 0.3, 0.0], [0.3, 0.5, 0.1], [0.0, 0.1, 0.25]])
LAYERS = 2
PROMPTS = {"smoke": 3, "small": 30, "paper": 300}


def gram(name: str, query: np.ndarray, key: np.ndarray) -> Float[np.ndarray, "q j"]:
    """Weights of keys, a row a query."""
    dots = query @ key.T
    match name:
        case "relu":
            return np.maximum(dots, 0.0)
        case "exp":
            return np.exp(dots)
        case "softmax":
            return scipy.special.softmax(dots, axis=1)
        case "rbf":
            return np.exp(-np.sum((query[:, None] - key[None]) ** 2, axis=2) / 2)
        case _:
            return dots


def proposition_1(scale: Scale) -> Outcome:
    """Predictions and residuals of five layers; beyond smoke of 1, 2, 5 and 20."""
    rng = np.random.default_rng(20)
    x, y, xq = rng.normal(size=(N, D)), rng.normal(size=(N, 1)), rng.normal(size=(M, D))
    x, xq = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, xq))
    checks = []
    for name in KERNELS:
        rate = 0.8 if name == "softmax" else 0.1
        predictions, residuals = [], []
        for depth in (5,) if scale == "smoke" else (1, 2, 5, 20):
            model = functional_gradient_descent(
                [KernelHead(il.Kernel(name))],
                d=D,
                p=1,
                steps=depth,
                learning_rate=rate if name == "softmax" else rate * N,
            )
            function, held = np.zeros((M, 1)), y.copy()
            for _ in range(depth):
                function = function + rate * gram(name, xq, x) @ held
                held = held - rate * gram(name, x, x) @ held
            stream = model.stream(il.Prompt(x, y, np.concatenate([xq, x])))
            predictions.append(np.abs(-stream[:M, D:] - function).max())
            residuals.append(np.abs(y + stream[M:, D:] - held).max())
        checks.append(at_most(f"{name}: predictions", max(predictions), 1e-12))
        checks.append(at_most(f"{name}: targets less predictions", max(residuals), 1e-12))
    return Outcome(tuple(checks), {}, {"d": D, "n": N, "queries": M}, seeds=(20,))


def several_heads(scale: Scale) -> Outcome:
    """Two heads on linear images of the covariates against the sum of their kernels."""
    rng = np.random.default_rng(21)
    x, y, xq = rng.normal(size=(N, D)), rng.normal(size=(N, 1)), rng.normal(size=(M, D))
    one, two = 0.5 * rng.normal(size=(2, D)), 0.5 * rng.normal(size=(2, D))
    rate = 0.05

    def kernel(query, key):
        linear = gram("linear", query @ one.T, key @ one.T)
        return 0.3 * linear + 0.7 * gram("exp", query @ two.T, key @ two.T)

    heads = [
        KernelHead(il.Kernel("linear"), weight=0.3, key=one),
        KernelHead(il.Kernel("exp"), weight=0.7, key=two),
    ]
    checks = []
    for depth in (2, 5) if scale == "smoke" else (1, 2, 5):
        model = functional_gradient_descent(heads, d=D, p=1, steps=depth, learning_rate=rate * N)
        function, held = np.zeros((M, 1)), y.copy()
        for _ in range(depth):
            function, held = (
                function + rate * kernel(xq, x) @ held,
                held - rate * kernel(x, x) @ held,
            )
        error = np.abs(model(il.Prompt(x, y, xq)) - function).max()
        checks.append(at_most(f"predictions of two heads, {depth} layers", error, 1e-12))
    return Outcome(tuple(checks), {}, {"d": D, "n": N, "queries": M}, seeds=(21,))


def stationarity(scale: Scale) -> Outcome:
    """Slopes by `A_l`, `B_l`, `C_l`, whitened, at a random point of the stated set."""
    rng = np.random.default_rng(22)
    n, prompts = 5, PROMPTS[scale]
    root = symmetric_root(COVARIANCE)
    inverse = np.linalg.inv(root)
    group = signed_permutations(D)
    white = rng.normal(size=(prompts, n + 1, D))
    white /= np.linalg.norm(white, axis=2, keepdims=True)
    x = np.einsum("bnj,gij,ki->gbnk", white, group, root).reshape(-1, n + 1, D)
    y = np.tile(rng.normal(size=(prompts, n + 1)), (len(group), 1))
    roles = np.array([CONTEXT_ROLE] * n + [QUERY_ROLE])
    hidden = np.concatenate([y[:, :n], np.zeros((len(y), 1))], axis=1)
    tokens = jnp.asarray(np.concatenate([x, hidden[..., None]], axis=2))
    rates = jnp.asarray(rng.uniform(0.2, 0.5, size=LAYERS))

    def loss(matrices: Float[Array, "three l d d"], name: str) -> Float[Array, ""]:
        a, b, c = matrices
        value = jnp.zeros((LAYERS, 1, D + 1, D + 1)).at[:, 0, D, D].set(-rates)
        value = value.at[:, 0, :D, :D].set(root @ a @ inverse)
        query, key = (jnp.pad(w @ inverse, ((0, 0), (0, 0), (0, 1)))[:, None] for w in (c, b))
        every = jnp.broadcast_to(jnp.eye(D + 1), value.shape)
        averages = np.full((LAYERS, 1), name != "softmax")
        readers = np.ones((LAYERS, 1, len(READ_ROLES)), bool)
        sources = np.broadcast_to(READ_ROLES, readers.shape)
        heads = Attention(
            query, key, every, value, averages, readers, sources, kernel=il.Kernel(name)
        )
        model = Transformer(Block((heads,), None), order=tuple(range(LAYERS)))
        answer = jax.vmap(lambda tokens: -model(tokens, roles, n)[-1, -1])
        return jnp.mean((answer(tokens) - y[:, -1]) ** 2)

    point = rng.uniform(0.3, 0.9, size=(3, LAYERS, 1, 1)) * np.eye(D)
    tilted = point + np.diag([0.3, 0.0, -0.3])
    checks = []
    for name in ("relu", "softmax") if scale == "smoke" else KERNELS[:4]:
        slope = jax.jit(jax.grad(lambda w, name=name: loss(w, name)))
        inside, beside = (np.asarray(slope(jnp.asarray(w))) for w in (point, tilted))
        for matrix, slopes in zip("ABC", inside, strict=True):
            what = f"{name}: slopes by {matrix}, off the multiples of I"
            checks.append(at_most(what, off_identity(slopes), 1e-10))
        checks.append(at_least(f"{name}: the same beside the set", off_identity(beside), 1e-3))
    settings = {"d": D, "n": n, "layers": LAYERS, "prompts": len(y)}
    return Outcome(tuple(checks), {}, settings, seeds=(22,))
