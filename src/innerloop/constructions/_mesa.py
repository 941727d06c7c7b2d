r"""Least squares in sequence models: von Oswald et al. (2023), Propositions 1 and 2, mesa layer.

Tokens hold `e_t = (Phi_0 s_t; s_t; s_{t-1})`. In a prompt, an example `(x_j, y_j)` is a transition
`(s_{j-1}, s_j)` that has been seen, and a query is the `s_t` whose successor is asked for.

Proposition 1: `W_V = [[0, eta I, -eta Phi_0], ...]`, key the third part, query the second. The
first part of token `t` becomes `Phi_0 s_t + eta sum_j (y_j - Phi_0 x_j) <x_j, s_t>`, that is
`(Phi_0 - eta grad L(Phi_0)) s_t` for `L = 1/2 sum_j |Phi x_j - y_j|^2`.

Proposition 2: layers solve `A z = s_t`, `A = sum_j x_j x_j^T + I / lambda`, by momentum iterations

    z_{K+1} = z_K + alpha_K (s_t - A z_K) + beta_K (z_K - z_{K-1})

and one more writes `sum_j y_j <x_j, z>`: as depth grows, ridge regression.
Proof. A token carries `z` and the last displacement `D`. A head with query `z`, key and value `x_j`
adds `-(alpha/beta) sum_j x_j <x_j, z>` to `D`; the MLP, linear in what it reads, turns `D` into
`beta D + alpha (s_t - z / lambda)` and adds that to `z`. (`beta_0` multiplies `D_0 = 0`, so it may
as well be 1.)

The mesa layer, `sum_j v_j k_j^T R q` with `R = (sum_j k_j k_j^T + I / lambda)^{-1}`, is that limit
in one layer; for `lambda -> 0` it is `lambda` times linear attention.

Departs from von Oswald et al. (2023): attention is causal there, so every token learns from its own
past; here the context is what has been seen, and the layer's recursion for `R` is a solve.
Axes: `d` covariates, `p` targets (both the size of `s` there), `n` transitions.
Reference: von Oswald et al. (2023), arXiv:2309.05858, Propositions 1 and 2, Section 4.
"""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from innerloop.constructions._blocks import Head, Layer, Slots, linear_neurons
from innerloop.constructions._construction import Construction, construction
from innerloop.models import Attention, Block, Transformer
from innerloop.tokens import READ_ROLES


class Mesa(Attention):
    """Heads that solve a ridge regression of values on keys, and answer at queries.

    Departs from the rule that no class is overridden: a bank of blocks holds `Attention`, and who
    reads its fields may read these.
    """

    penalty: float = eqx.field(static=True, default=1.0)  # 1 / lambda

    def __call__(
        self, tokens: Float[Array, "t r"], roles: Int[Array | np.ndarray, " t"], n: int
    ) -> Float[Array, "t r"]:
        """What the heads add to the residual stream."""
        del n
        queries = jnp.einsum("tr,hkr->htk", tokens, self.W_Q)
        keys = jnp.einsum("tr,hkr->htk", tokens, self.W_K)
        values = jnp.einsum("tr,hvr->htv", tokens, self.W_V)
        read = jnp.asarray(self.sources)[:, roles][..., None]
        keys, values = jnp.where(read, keys, 0.0), jnp.where(read, values, 0.0)
        identity = self.penalty * jnp.eye(keys.shape[-1], dtype=keys.dtype)
        system = jnp.einsum("htk,htl->hkl", keys, keys) + identity[None]
        image = jnp.linalg.solve(system, jnp.swapaxes(queries, -1, -2))
        mixed = jnp.einsum("htv,htk,hku->huv", values, keys, image)
        return jnp.einsum("htv,hrv->tr", mixed, self.W_O)


def autoregressive_step(*, learning_rate: float, weights: Float[np.ndarray, "p d"]) -> Construction:
    r"""One gradient step from `Phi_0` beside a sum: Proposition 1, one layer of one head.

    Args:
        learning_rate: The step size `eta`.
        weights: `Phi_0`.

    Example:
        >>> from innerloop.prompts import Prompt
        >>> model = autoregressive_step(learning_rate=0.25, weights=np.ones((1, 1)))
        >>> model(Prompt([[1.0], [2.0]], [[2.0], [4.0]], [[1.0]])).tolist()
        [[2.25]]
    """
    p, d = weights.shape
    slots = Slots(first=p, second=max(d, p), third=d)
    head = Head(
        query=slots.second[:d],
        key=slots.third,
        value=learning_rate * (slots.second[:p] - weights @ slots.third),
        output=slots.first.T,
        average=False,
    )
    inputs = np.eye(d + p + 1)
    x, y = inputs[:d], inputs[d : d + p]
    context = slots.second[:p].T @ y + slots.third.T @ x
    query = slots.first.T @ weights @ x + slots.second[:d].T @ x
    return construction([Layer((head,))], d=d, embed=(context, query), unembed=slots.first)


def momentum_inverse(
    *, d: int, p: int, alphas: Sequence[float], betas: Sequence[float], penalty: float
) -> Construction:
    r"""Ridge regression by momentum iterations on the query: Proposition 2.

    Args:
        d: The number of covariates.
        p: The number of targets.
        alphas: The step sizes, a layer each.
        betas: The momentum of each layer; the first is not used.
        penalty: `1 / lambda`, beside a sum over the context.

    Returns:
        The construction: `len(alphas) + 1` layers.
    """
    slots = Slots(x=d, y=p, z=d, move=d, out=p)
    layers = []
    for alpha, beta in zip(alphas, [1.0, *betas[1:]], strict=True):
        output = -alpha / beta * slots.move.T
        head = Head(slots.z, slots.x, slots.x, output, average=False)
        new = beta * slots.move + alpha * (slots.x - penalty * slots.z)
        change = slots.move.T @ (new - slots.move) + slots.z.T @ new
        layers.append(Layer((head,), linear_neurons(change, np.eye(slots.width))))
    layers.append(Layer((Head(slots.z, slots.x, slots.y, slots.out.T, average=False),)))
    pair = np.concatenate([slots.x, slots.y]).T @ np.eye(d + p, d + p + 1)
    return construction(layers, d=d, embed=(pair, pair), unembed=slots.out)


def chebyshev_coefficients(
    smallest: float, largest: float, steps: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The step sizes and momenta that are best on a spectrum in `[smallest, largest]`.

    Example:
        >>> chebyshev_coefficients(1.0, 3.0, 2)
        ((0.5, 0.5714285714285714), (0.0, 0.14285714285714285))
    """
    centre, radius = (largest + smallest) / 2, (largest - smallest) / 2
    alphas, betas, ratio = [1 / centre], [0.0], radius / centre
    for _ in range(steps - 1):
        new = 1 / (2 * centre / radius - ratio)
        alphas.append(2 * new / radius)
        betas.append(new * ratio)
        ratio = new
    return tuple(alphas), tuple(betas)


def mesa_layer(*, d: int, p: int, penalty: float) -> Construction:
    r"""Ridge regression in one layer.

    Args:
        d: The number of covariates.
        p: The number of targets.
        penalty: `1 / lambda`, beside a sum over the context: scikit-learn's `alpha`.

    Returns:
        The construction: one layer of one mesa head.
    """
    slots = Slots(x=d, y=p, out=p)
    x, y, out = (part[None, None] for part in (slots.x, slots.y, slots.out.T))
    everyone = np.array([[READ_ROLES]])
    mesa = Mesa(x, x, y, out, np.zeros((1, 1), bool), everyone, everyone, penalty=penalty)
    pair = np.concatenate([slots.x, slots.y]).T @ np.eye(d + p, d + p + 1)
    return Construction(
        Transformer(Block((mesa,), None), (0,)),
        np.stack([pair, pair]),
        slots.out,
        np.zeros((0, slots.width)),
        d,
        1,
    )
