r"""Cheng, Chen and Sra's attention with a kernel, trained.

    S_h = kernel_h(C_h x_j, B_h x_i),    X <- X + sum_h S_h X_c A_h^T,   Y <- Y + sum_h r_h S_h Y_c

Scores are of every token `j` against context tokens `i`; softmax normalises over `i`. The
prediction is minus the query's target slot, so it is linear in the context's targets: with the
identity as targets it is the row of their coefficients. Only `B_h^T C_h` is identifiable.
With `A_h` of the wrong sign covariates grow, and exp scores of them faster still: a few layers go
from 1 to what no float holds, on rare contexts that the mean over a batch does not show until then.
`clamp` bounds the covariates of every token; targets are left alone, so predictions stay linear.
Departs from the released code, which scales the output of a whole batch back to a norm of 1e10,
once, after the last layer: too late for exp.
Axes: `t` tokens, `n` context, `m` queries, `d` covariates, `p` targets, `l` layers, `h` heads.
Reference: Cheng, Chen and Sra (2024), arXiv:2312.06528, equation (3.1) and Section 3.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.kernels import Kernel
from innerloop.models.self_attention import KernelName
from innerloop.prompts import Prompt
from innerloop.tokens import data_tokens


class KernelAttention(eqx.Module):
    """Layers whose heads each have a kernel.

    Attributes:
        A: How covariates move.
        B: Key maps.
        C: Query maps.
        r: How targets move.
        kernels: The heads' kernels.
        averages: Whether scores are divided by `n`, as in the published code.
        clamp: The largest norm of a token's covariates after a layer; None for no bound.
    """

    A: Float[Array, "l h d d"]
    B: Float[Array, "l h d d"]
    C: Float[Array, "l h d d"]
    r: Float[Array, "l h"]
    kernels: tuple[Kernel, ...] = eqx.field(static=True)
    averages: bool = eqx.field(static=True, default=True)
    clamp: float | None = eqx.field(static=True, default=None)

    @property
    def depth(self) -> int:
        """The number of layers."""
        return len(self.A)

    def __call__(self, prompt: Prompt) -> Float[Array, "m p"]:
        """The predictions at the queries."""
        x, y, _ = data_tokens(prompt)
        n = prompt.n
        for layer in range(self.depth):
            moved_x, moved_y = x, y
            for head, kernel in enumerate(self.kernels):
                queries, keys = x @ self.C[layer, head].T, x[:n] @ self.B[layer, head].T
                scores = kernel.scores(queries, keys)
                scores = jax.nn.softmax(scores, axis=-1) if kernel.normalised else scores
                scores = scores / n if self.averages else scores
                moved_x = moved_x + scores @ (x[:n] @ self.A[layer, head].T)
                moved_y = moved_y + self.r[layer, head] * (scores @ y[:n])
            x, y = _bounded(moved_x, self.clamp), moved_y
        return -y[n:]


def _bounded(x: Float[Array, "t d"], norm: float | None) -> Float[Array, "t d"]:
    """Tokens longer than `norm` scaled back to it."""
    if norm is None:
        return x
    squares = jnp.sum(x**2, axis=1, keepdims=True)
    return x * (norm * jax.lax.rsqrt(jnp.maximum(squares, norm**2)))


@dataclass(frozen=True)
class KernelHeads:
    """The architecture.

    Args:
        depth: How many layers.
        kernels: The kernel of each head.
        averages: Whether scores are divided by `n`.
        init_scale: Standard deviation of an entry at the start.
        clamp: The largest norm of a token's covariates after a layer; None for no bound.

    Example:
        >>> KernelHeads(kernels=("linear", "exp"))(d=5, p=1, key=jax.random.key(0)).r.shape
        (1, 2)
    """

    depth: int = 1
    kernels: tuple[KernelName, ...] = ("linear",)
    averages: bool = True
    init_scale: float = 0.1
    clamp: float | None = None

    def __post_init__(self):
        if self.clamp is not None and not self.clamp > 0:
            raise ValueError(f"clamp must be a positive norm, or None; got {self.clamp}.")

    def __call__(self, *, d: int, p: int, key: PRNGKeyArray) -> KernelAttention:
        """A new model for `d` covariates; any number of targets will do."""
        del p
        heads = (self.depth, len(self.kernels))
        a, b, c, r = jax.random.split(key, 4)
        a, b, c = (self.init_scale * jax.random.normal(k, (*heads, d, d)) for k in (a, b, c))
        r = self.init_scale * jax.random.normal(r, heads)
        kernels = tuple(map(Kernel, self.kernels))
        return KernelAttention(a, b, c, r, kernels, self.averages, self.clamp)
