r"""Several layers: diagonal minimisers, stationary points, layers in any order (Theorems 2 to 4).

Stationary points are checked on the gradients of a transformer's own weights, over a batch with the
symmetry that the theorems ask of the law, so without sampling error. Weights are whitened,

    A_l = R^{-1} A'_l R^{-1}     B_l = R B'_l R^{-1}     R = Sigma^{1/2}

so that the theorems' sets are `A'_l = a_l I`, `B'_l = b_l I`; slopes vanish in one form where they
vanish in the other.
"""

import itertools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

import innerloop as il
from innerloop import constructions
from innerloop.papers.claims import Outcome, Scale, at_least, at_most
from innerloop.papers.symmetry import off_identity, signed_permutations, symmetric_root

D, N, LAYERS = 3, 5, 3
COVARIANCE = np.array([[1.0, 0.3, 0.0], [0.3, 0.5, 0.1], [0.0, 0.1, 0.25]])
PROMPTS = {"smoke": 4, "small": 30, "paper": 300}
CONTEXTS = {"smoke": 1_000, "small": 10_000, "paper": 100_000}
STARTS = {"smoke": 3, "small": 8, "paper": 30}
SE = 4.5

Matrices = Float[Array | np.ndarray, "l d d"]


def theorem_2(scale: Scale) -> Outcome:
    """Two layers of any symmetric matrices against two multiples of the identity."""
    rng = np.random.default_rng(4)
    n, upper = 8, np.triu_indices(D)
    moments, fresh = (_moments(rng, CONTEXTS[scale] * k, n) for k in (1, 4))

    def losses(steps, moments):
        """`E |(I - A_2 S)(I - A_1 S) w|^2` over `w ~ N(0, I)`, a context at a time."""
        first, second = (jnp.eye(D)[None] - step @ moments for step in steps)
        return jnp.sum((second @ first) ** 2, axis=(1, 2))

    def fitted(unpacked: Callable, start: np.ndarray) -> tuple[float, np.ndarray]:
        slope = jax.jit(jax.value_and_grad(lambda flat: jnp.mean(losses(unpacked(flat), moments))))
        end = scipy.optimize.minimize(
            lambda flat: tuple(map(np.asarray, slope(flat))), start, jac=True
        )
        return end.fun, np.asarray(unpacked(end.x))

    def symmetric(flat):
        half = jnp.zeros((2, D, D)).at[:, *upper].set(flat.reshape(2, -1))
        return (half + jnp.swapaxes(half, 1, 2)) / 2

    def multiples(flat):
        return flat[:, None, None] * jnp.eye(D)[None]

    _, diagonal = fitted(multiples, np.array([0.5, 1.2]))
    size = 2 * len(upper[0])
    starts = (
        np.tile(np.eye(D)[upper], 2) + 0.5 * rng.normal(size=size) for _ in range(STARTS[scale])
    )
    loss, best = min((fitted(symmetric, start) for start in starts), key=lambda end: end[0])
    gain = np.asarray(losses(diagonal, fresh) - losses(best, fresh))
    checks = (
        at_most(
            "gain of full matrices over multiples of I on fresh contexts, in standard errors",
            gain.mean() / (gain.std() / len(gain) ** 0.5),
            SE,
        ),
        at_most("the same gain, as a share of the loss", gain.mean() / loss, 0.01),
    )
    settings = {"d": D, "n": n, "contexts": len(moments), "starts": STARTS[scale]}
    return Outcome(checks, {"matrices": best, "multiples": diagonal}, settings, seeds=(4,))


def _moments(rng: np.random.Generator, contexts: int, n: int) -> Float[np.ndarray, "b d d"]:
    x = rng.normal(size=(contexts, n, D))
    return np.einsum("bni,bnj->bij", x, x) / n


def theorem_3(scale: Scale) -> Outcome:
    """Slopes by `A_l` where `A_l = a_l Sigma^{-1}`, and their least norm there."""
    return _stationary(scale, transforms=False, seed=5)


def theorem_4(scale: Scale) -> Outcome:
    """The same with covariates transformed by `B_l = b_l I`."""
    return _stationary(scale, transforms=True, seed=6)


def _stationary(scale: Scale, *, transforms: bool, seed: int) -> Outcome:
    rng = np.random.default_rng(seed)
    loss = _symmetric_loss(rng, PROMPTS[scale])
    slopes = jax.jit(jax.grad(loss, argnums=(0, 1) if transforms else (0,)))

    def on_the_set(scalars):
        a, b = scalars[:LAYERS], jnp.zeros(LAYERS).at[: len(scalars) - LAYERS].set(scalars[LAYERS:])
        return tuple(s[:, None, None] * jnp.eye(D)[None] for s in (a, b))

    restricted = jax.jit(jax.value_and_grad(lambda scalars: loss(*on_the_set(scalars))))
    start = rng.uniform(0.3, 1.0, size=2 * LAYERS - 1 if transforms else LAYERS)
    somewhere = [np.asarray(s) for s in slopes(*on_the_set(start))]
    end = scipy.optimize.minimize(
        lambda scalars: tuple(map(np.asarray, restricted(scalars))),
        start,
        jac=True,
        options={"gtol": 1e-10},
    )
    at_least_loss = [np.asarray(s) for s in slopes(*on_the_set(end.x))]
    steps, inner = (np.asarray(m) for m in on_the_set(start))
    beside = slopes(steps + np.diag([0.3, 0.0, -0.3])[None], inner)[0]
    names = "A_l and B_l" if transforms else "A_l"
    norm = max(float(np.linalg.norm(s)) for s in at_least_loss)
    checks = (
        at_most(
            f"slopes by {names} at a point of the set, off the multiples of I",
            max(map(off_identity, somewhere)),
            1e-10,
        ),
        at_least("the same beside the set", off_identity(np.asarray(beside)), 1e-2),
        at_most(f"norm of the slopes by {names} at the least loss in the set", norm, 1e-6),
    )
    settings = {"d": D, "n": N, "layers": LAYERS, "prompts": 48 * PROMPTS[scale]}
    return Outcome(checks, {"scalars": end.x}, settings, seeds=(seed,))


def _symmetric_loss(
    rng: np.random.Generator, prompts: int
) -> Callable[[Matrices, Matrices], Float[Array, ""]]:
    """The mean loss of layers of whitened matrices, over prompts under all signed permutations."""
    group = signed_permutations(D)
    x = rng.normal(size=(prompts, N + 1, D))
    y = np.einsum("bnd,bd->bn", x, rng.normal(size=(prompts, D)))
    root = symmetric_root(COVARIANCE)
    inverse = np.linalg.inv(root)
    x = np.einsum("bnj,gij,ki->gbnk", x, group, root).reshape(-1, N + 1, D)
    y = np.tile(y, (len(group), 1))
    zeros = np.zeros((LAYERS, D, D))
    model = constructions.preconditioned_gradient_descent(zeros, p=1)

    def loss(steps: Matrices, transforms: Matrices) -> Float[Array, ""]:
        attention = model.transformer.blocks.attention[0]
        query = jnp.asarray(attention.W_Q).at[:, 0, :, :D].set(-inverse @ steps @ inverse)
        output = jnp.asarray(attention.W_O).at[:, 0, :D, :D].set(root @ transforms @ inverse)
        weighted = eqx.tree_at(
            lambda m: [getattr(m.transformer.blocks.attention[0], k) for k in ("W_Q", "W_O")],
            model,
            [query, output],
        )
        answer = jax.vmap(lambda x, y: weighted(il.Prompt(x[:-1], y[:-1, None], x[-1:]))[0, 0])
        return jnp.mean((answer(jnp.asarray(x), jnp.asarray(y)) - y[:, -1]) ** 2)

    return loss


def lemma_4(scale: Scale) -> Outcome:
    """Predictions of layers of one shape in every order, and of layers of different shapes."""
    del scale
    rng = np.random.default_rng(7)
    shape = np.linalg.inv(COVARIANCE)
    prompt = il.Prompt(rng.normal(size=(20, D)), rng.normal(size=(20, 1)), rng.normal(size=(7, D)))
    checks = []
    for layers in (2, 5):
        scales = rng.uniform(0.1, 0.4, size=layers)
        orders = list(itertools.permutations(scales))[:: 1 if layers == 2 else 10]
        found = [_answers(np.array(o)[:, None, None] * shape, prompt) for o in orders]
        what = f"predictions of {layers} layers in {len(orders)} orders, apart"
        checks.append(at_most(what, float(np.ptp(np.stack(found), axis=0).max()), 1e-12))
    shapes = np.stack([np.diag([0.3, 0.0, 0.1]), 0.2 * shape])
    apart = np.abs(_answers(shapes, prompt) - _answers(shapes[::-1], prompt)).max()
    checks.append(at_least("the same for layers of two shapes", apart, 1e-3))
    return Outcome(tuple(checks), {}, {"d": D, "n": 20, "queries": 7}, seeds=(7,))


def _answers(steps: Float[np.ndarray, "l d d"], prompt: il.Prompt) -> Float[np.ndarray, "m p"]:
    return np.asarray(constructions.preconditioned_gradient_descent(steps, p=1)(prompt))
