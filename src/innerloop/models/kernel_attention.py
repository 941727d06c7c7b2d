r"""Cheng, Chen and Sra's attention with a kernel, trained.

    S_h = kernel_h(C_h x_j, B_h x_i),    X <- X + sum_h S_h X_c A_h^T,   Y <- Y + sum_h r_h S_h Y_c

Scores are of every token `j` against context tokens `i`; softmax normalises over `i`. The
prediction is minus the query's target slot, so it is linear in the context's targets: with the
identity as targets it is the row of their coefficients. Only `B_h^T C_h` is identifiable.
Axes: `t` tokens, `n` context, `m` queries, `d` covariates, `p` targets, `l` layers, `h` heads.
Reference: Cheng, Chen and Sra (2024), arXiv:2312.06528, equation (3.1) and Section 3.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
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
    """

    A: Float[Array, "l h d d"]
    B: Float[Array, "l h d d"]
    C: Float[Array, "l h d d"]
    r: Float[Array, "l h"]
    kernels: tuple[Kernel, ...] = eqx.field(static=True)
    averages: bool = eqx.field(static=True, default=True)

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
            x, y = moved_x, moved_y
        return -y[n:]


@dataclass(frozen=True)
class KernelHeads:
    """The architecture.

    Args:
        depth: How many layers.
        kernels: The kernel of each head.
        averages: Whether scores are divided by `n`.
        init_scale: Standard deviation of an entry at the start.

    Example:
        >>> KernelHeads(kernels=("linear", "exp"))(d=5, p=1, key=jax.random.key(0)).r.shape
        (1, 2)
    """

    depth: int = 1
    kernels: tuple[KernelName, ...] = ("linear",)
    averages: bool = True
    init_scale: float = 0.1

    def __call__(self, *, d: int, p: int, key: PRNGKeyArray) -> KernelAttention:
        """A new model for `d` covariates; any number of targets will do."""
        del p
        heads = (self.depth, len(self.kernels))
        a, b, c, r = jax.random.split(key, 4)
        a, b, c = (self.init_scale * jax.random.normal(k, (*heads, d, d)) for k in (a, b, c))
        r = self.init_scale * jax.random.normal(r, heads)
        return KernelAttention(a, b, c, r, tuple(map(Kernel, self.kernels)), self.averages)
