r"""The exact loss of one linear-attention layer on linear regression: no prompts, no noise.

    prediction = sum_abe N_abe G_ab xq_e,    G = sum_i e_i e_i^T,   e_i = (x_i; y_i)

    2 loss = sum_ef S_ef (sum N_abe E[G_ab G_ce] N_cdf - 2 sum N_abe E[G_ab w_f] + E[w_e w_f])

The moments of `G` follow from the second moments `S` and the fourth moments of covariates, and from
the teachers' covariance `O`, with `V = O`'s quadratic forms:

    E[G_ab G_cd] = n E[e_a e_b e_c e_d] + n (n - 1) E_w[ E[e_a e_b | w] E[e_c e_d | w] ]

where odd powers of `y` vanish. The gradient is exact too, and a step costs what one prompt costs.
Axes: `r = d + 1` coordinates of a token, `d` covariates, `n` context examples.
References: the one-layer optimum, Ahn et al. (2023), arXiv:2306.00297, Theorem 1.
"""

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.models import InContextTransformer, bilinear
from innerloop.tasks import AbstractTask, LinearRegression
from innerloop.tasks._covariates import pairings


def population_loss(model: InContextTransformer, task: AbstractTask) -> Float[Array, ""]:
    """The mean of `query_loss` over the task, in closed form.

    Args:
        model: One layer of linear attention on joined tokens.
        task: Linear regression with one target, whose covariates' moments are known.

    Returns:
        The loss, differentiable in the model's weights.

    Raises:
        ValueError: If the model or the task is another.

    Example:
        >>> import jax
        >>> from innerloop.models import SelfAttention
        >>> from innerloop.tasks import von_oswald
        >>> blank = SelfAttention(init_scale=0.0)(d=10, p=1, key=jax.random.key(0))
        >>> round(float(population_loss(blank, von_oswald())), 6)
        0.416667
    """
    form = bilinear(model, task.n)[..., 0]
    second, squares, crossed, teachers = (
        jnp.asarray(moment, form.dtype) for moment in gram_moments(task)
    )
    flat = form.reshape(-1, task.d)
    squares = squares.reshape(len(flat), len(flat))
    explained = flat.T @ (squares @ flat) - 2.0 * flat.T @ crossed.reshape(-1, task.d)
    return 0.5 * jnp.sum(second * (explained + teachers))


@lru_cache(maxsize=16)
def gram_moments(
    task: AbstractTask,
) -> tuple[
    Float[np.ndarray, "d d"],
    Float[np.ndarray, "r r r r"],
    Float[np.ndarray, "r r d"],
    Float[np.ndarray, "d d"],
]:
    """The moments that decide the loss of a layer.

    Returns:
        `E[x x^T]`, `E[G_ab G_cd]`, `E[G_ab w_f]` and `E[w w^T]`.
    """
    if type(task) is not LinearRegression or task.p != 1:
        raise ValueError(
            "the population loss is known for LinearRegression with one target; got "
            f"{type(task).__name__} with p = {task.p}. Use loss='queries'."
        )
    n, d, noise = task.n, task.d, task.noise**2
    second, fourth = task.covariates.moments(d)
    root = task.teacher_root()
    teachers = root @ root.T
    crossed = np.zeros((d + 1, d + 1, d))
    crossed[:d, d] = crossed[d, :d] = n * second @ teachers
    one = _token_moments(second, fourth, teachers, noise)
    two = _pair_moments(second, teachers, noise)
    return second, n * one + n * (n - 1) * two, crossed, teachers


def _token_moments(
    second: Float[np.ndarray, "d d"],
    fourth: Float[np.ndarray, "d d d d"],
    teachers: Float[np.ndarray, "d d"],
    noise: float,
) -> Float[np.ndarray, "r r r r"]:
    """`E[e_a e_b e_c e_d]` of one token, by how many of the four are the target."""
    d = len(second)
    moments = np.zeros(4 * (d + 1,))
    moments[:d, :d, :d, :d] = fourth
    two_targets = np.einsum("abce,ce->ab", fourth, teachers) + noise * second
    for place in _choices(d):
        moments[place] = two_targets
    power = np.sum(second * teachers)
    fourth_power = np.sum(fourth * pairings(teachers))
    moments[d, d, d, d] = fourth_power + 6 * noise * power + 3 * noise**2
    return moments


def _pair_moments(
    second: Float[np.ndarray, "d d"], teachers: Float[np.ndarray, "d d"], noise: float
) -> Float[np.ndarray, "r r r r"]:
    """`E_w[E[e_a e_b | w] E[e_c e_d | w]]` of two tokens that share a teacher."""
    d = len(second)
    moments = np.zeros(4 * (d + 1,))
    power = np.sum(second * teachers)
    moments[:d, :d, :d, :d] = np.einsum("ab,ce->abce", second, second)
    moments[:d, :d, d, d] = moments[d, d, :d, :d] = second * (power + noise)
    taught = second @ teachers @ second
    for place in _choices(d)[2:]:
        moments[place] = taught
    spread = 2 * np.sum((second @ teachers) * (second @ teachers).T)
    moments[d, d, d, d] = (power + noise) ** 2 + spread
    return moments


def _choices(d: int) -> list[tuple[slice | int, ...]]:
    """The places where two of four indices are the target; first those with a pair in one token."""
    x, y = slice(0, d), d
    return [(x, x, y, y), (y, y, x, x), (x, y, x, y), (x, y, y, x), (y, x, x, y), (y, x, y, x)]
