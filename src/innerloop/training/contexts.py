r"""The expected loss of Ahn et al.'s layers on contexts given by their second moments alone.

    E_0 = M_0 = I,   P_l = M_l A_l^T M_l^T
    E_{l+1} = E_l - P_l S E_l,   M_{l+1} = M_l - P_l S M_l B_l^T,   S = (1/n) sum_i x_i x_i^T
    loss = (1/2) tr(Sigma E_L T E_L^T),   Sigma = E[x x^T],   T = E[w w^T]

Every token of layer `l` is `x^T M_l`, and what the layers leave of a teacher is `w - w_l = E_l w`;
so neither tasks nor queries are drawn, and a context of any length costs the same once it has its
second moments. The loss is the mean of `expected_loss` over queries.

It is a polynomial of high degree in `S`: with few examples contexts that come once in ten thousand
times, with a large eigenvalue, rule its mean. So contexts can be drawn from a mixture: half as they
are, half with their variance multiplied along a direction, and weighted by the ratio of densities,
which leaves all means as they are and is at most 2. With white `z`, of second moments `S_z`,
directions `v_k`, and factors `f`,

    1 / weight = 1/2 + (1/2) mean_{k, f} f^(-n/2) exp((1 - 1/f) n v_k^T S_z v_k / 2)

Contexts are the last axis: products of small matrices then run over contexts, several times as
quickly as batched products do.
Axes: `d` covariates, `b` contexts.
Reference: Ahn et al. (2023), arXiv:2306.00297, equations (8) and (11).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.models import PreconditionedAttention
from innerloop.tasks import AbstractTask, LinearRegression

DIRECTIONS = 16


class Contexts(NamedTuple):
    """Contexts by what the loss sees of them.

    Args:
        moments: `S`, a context a place of the last axis.
        weights: What each counts in a mean.
    """

    moments: Float[Array, "d d b"]
    weights: Float[Array, " b"]


@partial(jax.jit, static_argnames=("task", "count", "stretches"))
def second_moments(
    task: AbstractTask, count: int, *, key: PRNGKeyArray, stretches: tuple[float, ...] = ()
) -> Contexts:
    """Sampled contexts.

    Args:
        task: How covariates are drawn, and how many a context has.
        count: How many contexts.
        key: Draws them.
        stretches: The factors `f` of stretched contexts; without any, all weights are one.

    Raises:
        ValueError: If the task is another, covariates are divided by the norm of a context, or
            stretched without being normal.

    Example:
        >>> task = LinearRegression(n=4, d=3)
        >>> second_moments(task, 7, key=jax.random.key(0)).moments.shape
        (3, 3, 7)
    """
    if not isinstance(task, LinearRegression) or task.covariates.unit_context:
        raise ValueError(
            "second moments of contexts are drawn for LinearRegression whose covariates are "
            f"independent; got {task}. Use loss='expected'."
        )
    if stretches and task.covariates.family != "normal":
        raise ValueError(
            f"contexts are stretched where covariates are normal; got {task.covariates.family} "
            "ones. Leave stretches= empty."
        )
    n, d = task.n, task.d
    white, stretched = jax.random.split(key)
    z = task.covariates.white(n * count, d, key=white).T.reshape(d, n, count)
    factors = jnp.asarray(stretches, z.dtype)
    directions, chosen = _stretches(stretched, count, factors, d)
    if stretches:
        towards = directions[jnp.arange(count) % DIRECTIONS].T
        along = jnp.einsum("inb,ib->nb", z, towards)
        z = z + towards[:, None] * ((jnp.sqrt(chosen) - 1)[None] * along)[None]
    moments = _product(z, jnp.swapaxes(z, 0, 1)) / n
    weights = jnp.ones(count, z.dtype)
    if stretches:
        weights = _weights(moments, directions, factors, n)
        moments = jnp.where(weights > 0, moments, 0.0)  # a loss that overflows would count
    mixing = task.covariates.mix(jnp.eye(d, dtype=z.dtype), n)[..., None]
    mixed = _product(jnp.swapaxes(mixing, 0, 1), _product(moments, mixing))
    return Contexts(mixed, weights)


def _stretches(
    key: PRNGKeyArray, count: int, stretches: Float[Array, " f"], d: int
) -> tuple[Float[Array, "k d"], Float[Array, " b"]]:
    """Directions, which contexts take in turn, and the factor of each context: 1 for half."""
    towards, which = jax.random.split(key)
    directions = jax.random.normal(towards, (DIRECTIONS, d), stretches.dtype)
    directions = directions / jnp.linalg.norm(directions, axis=1, keepdims=True)
    choices = jnp.concatenate([stretches, jnp.ones(max(len(stretches), 1), stretches.dtype)])
    return directions, choices[jax.random.randint(which, (count,), 0, len(choices))]


def _weights(
    moments: Float[Array, "d d b"],
    directions: Float[Array, "k d"],
    stretches: Float[Array, " f"],
    n: int,
) -> Float[Array, " b"]:
    """The density of contexts as they are over that of the mixture."""
    squares = jnp.einsum("ki,kj->kij", directions, directions)
    along = squares.reshape(len(directions), -1) @ moments.reshape(-1, moments.shape[-1])
    factors = stretches[:, None, None]
    logs = 0.5 * n * ((1 - 1 / factors) * along[None] - jnp.log(factors))
    return 2 / (1 + jnp.mean(jnp.exp(logs), axis=(0, 1)))


def residual_maps(
    model: PreconditionedAttention, moments: Float[Array, "d d b"]
) -> Float[Array, "d d b"]:
    """`E_L` for each context: the layers' estimate of a teacher is `w - E_L w`.

    Args:
        model: The layers.
        moments: `S`, a context a place of the last axis.

    Example:
        >>> model = PreconditionedAttention(jnp.full((2, 1, 1), 0.5), None)
        >>> residual_maps(model, jnp.array([[[1.0, 2.0]]])).tolist()
        [[[0.25, 0.0]]]
    """
    d = len(moments)
    left = seen = jnp.broadcast_to(jnp.eye(d, dtype=moments.dtype)[..., None], moments.shape)
    for layer in range(model.depth):
        stepped = _product(seen, model.A[layer].T[..., None])
        now = _product(jnp.swapaxes(seen, 0, 1), moments)
        left = left - _product(stepped, _product(now, left))
        if model.B is not None and layer + 1 < model.depth:
            moved = _product(stepped, _product(now, seen))
            seen = seen - _product(moved, model.B[layer].T[..., None])
    return left


def moments_loss(model: object, contexts: Contexts, task: AbstractTask) -> Float[Array, ""]:
    """The mean of `query_loss` over tasks and queries, and over contexts.

    Args:
        model: The layers.
        contexts: Their second moments and weights.
        task: The law of tasks and queries.

    Raises:
        ValueError: If the model is another, or the task, or it has noise or several targets.
    """
    if not isinstance(model, PreconditionedAttention):
        raise ValueError(
            "the loss by second moments is that of Preconditioned layers; got "
            f"{type(model).__name__}. Use loss='expected'."
        )
    if type(task) is not LinearRegression or task.p != 1 or task.noise != 0:
        raise ValueError(
            "the loss by second moments is known for LinearRegression with one target and no "
            f"noise; got {task}. Use loss='expected'."
        )
    second, _ = task.covariates.moments(task.d)
    queries, teachers = (
        jnp.asarray(root, contexts.moments.dtype)[..., None]
        for root in (jnp.linalg.cholesky(second).T, task.teacher_root())
    )
    missed = _product(_product(queries, residual_maps(model, contexts.moments)), teachers)
    return 0.5 * jnp.mean(contexts.weights * jnp.sum(missed**2, axis=(0, 1)))


@jax.custom_vjp
def _product(left: Float[Array, "i k #b"], right: Float[Array, "k j #b"]) -> Float[Array, "i j b"]:
    """Products of matrices, context by context: the sum over `k` is the loop, not contexts."""
    shape = (left.shape[0], right.shape[1], max(left.shape[2], right.shape[2]))

    def add(k, total):
        return total + left[:, k, None] * right[k, None]

    return jax.lax.fori_loop(0, len(right), add, jnp.zeros(shape, left.dtype))


def _forward(left, right):
    return _product(left, right), (left, right)


def _backward(factors, slope):
    left, right = factors
    by_left = _product(slope, jnp.swapaxes(right, 0, 1))
    by_right = _product(jnp.swapaxes(left, 0, 1), slope)
    return tuple(
        by if by.shape == factor.shape else by.sum(-1, keepdims=True)
        for by, factor in zip((by_left, by_right), factors, strict=True)
    )


_product.defvjp(_forward, _backward)
