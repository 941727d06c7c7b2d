r"""The expected loss of Ahn et al.'s layers on contexts given by their second moments alone.

    E_0 = M_0 = I,   P_l = M_l A_l^T M_l^T
    E_{l+1} = E_l - P_l S E_l,   M_{l+1} = M_l - P_l S M_l B_l^T,   S = (1/n) sum_i x_i x_i^T
    loss = (1/2) tr(Sigma E_L T E_L^T),   Sigma = E[x x^T],   T = E[w w^T]

Every token of layer `l` is `x^T M_l`, and what the layers leave of a teacher is `w - w_l = E_l w`;
so neither tasks nor queries are drawn, and a context of any length costs the same once it has its
second moments. The loss is the mean of `expected_loss` over queries.

Contexts are the last axis: products of small matrices then run over contexts, several times as
quickly as batched products do.
Axes: `d` covariates, `b` contexts.
Reference: Ahn et al. (2023), arXiv:2306.00297, equations (8) and (11).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.models import PreconditionedAttention
from innerloop.tasks import AbstractTask, LinearRegression


def second_moments(
    task: AbstractTask, contexts: int, *, key: PRNGKeyArray
) -> Float[Array, "d d b"]:
    """The matrices `S` of sampled contexts.

    Args:
        task: How covariates are drawn, and how many a context has.
        contexts: How many contexts.
        key: Draws them.

    Raises:
        ValueError: If the task is another, or covariates are divided by the norm of a context.

    Example:
        >>> second_moments(LinearRegression(n=4, d=3), 7, key=jax.random.key(0)).shape
        (3, 3, 7)
    """
    if not isinstance(task, LinearRegression) or task.covariates.unit_context:
        raise ValueError(
            "second moments of contexts are drawn for LinearRegression whose covariates are "
            f"independent; got {task}. Use loss='expected'."
        )
    points = task.n * contexts
    x = task.covariates.sample(points, task.d, n=points, key=key)
    x = x.T.reshape(task.d, task.n, contexts)
    return _product(x, jnp.swapaxes(x, 0, 1)) / task.n


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


def moments_loss(
    model: object, moments: Float[Array, "d d b"], task: AbstractTask
) -> Float[Array, ""]:
    """The mean of `query_loss` over tasks and queries, and over contexts.

    Args:
        model: The layers.
        moments: `S`, a context a place of the last axis.
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
        jnp.asarray(root, moments.dtype)[..., None]
        for root in (jnp.linalg.cholesky(second).T, task.teacher_root())
    )
    missed = _product(_product(queries, residual_maps(model, moments)), teachers)
    return 0.5 * jnp.mean(jnp.sum(missed**2, axis=(0, 1)))


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
