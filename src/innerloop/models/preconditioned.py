r"""Ahn et al.'s sparse linear attention: preconditioned gradient descent, trained.

    X <- X - X A_l^T G B_l^T,   Y <- Y - X A_l^T (X_c^T Y_c) / n,   G = X_c^T X_c / n

This is `Z + (1/n) P Z M (Z^T Q Z)` with `P = [[B, 0], [0, 1]]` and `Q = -[[A, 0], [0, 0]]`, so `A`
is the positive step matrix (the paper's figures show `-A`); the prediction is minus the query's
target slot. Without `B` covariates stay as they are. The last layer's `B` is never read.
Axes: `t` tokens, `n` context, `m` queries, `d` covariates, `p` targets, `l` layers.
Reference: Ahn et al. (2023), arXiv:2306.00297, equations (8) and (11).
"""

from dataclasses import dataclass

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.prompts import Prompt
from innerloop.tokens import data_tokens


class PreconditionedAttention(eqx.Module):
    """Layers that share the sparse form.

    Attributes:
        A: The step matrices.
        B: How covariates are transformed; None where they are not.
    """

    A: Float[Array, "l d d"]
    B: Float[Array, "l d d"] | None

    @property
    def depth(self) -> int:
        """The number of layers."""
        return len(self.A)

    def __call__(self, prompt: Prompt) -> Float[Array, "m p"]:
        """The predictions at the queries."""
        x, y, _ = data_tokens(prompt)
        n = prompt.n
        for layer in range(self.depth):
            stepped = x @ self.A[layer].T
            new_y = y - stepped @ (x[:n].T @ y[:n] / n)
            if self.B is not None and layer + 1 < self.depth:
                x = x - stepped @ (x[:n].T @ x[:n] / n) @ self.B[layer].T
            y = new_y
        return -y[n:]


@dataclass(frozen=True)
class Preconditioned:
    """The architecture.

    Args:
        depth: How many layers.
        transforms_covariates: Whether there are matrices `B` (equation 11) or none (equation 8).
        init_scale: Standard deviation of an entry at the start.

    Example:
        >>> Preconditioned(depth=3)(d=5, p=1, key=jax.random.key(0)).A.shape
        (3, 5, 5)
    """

    depth: int = 1
    transforms_covariates: bool = False
    init_scale: float = 1e-4

    def __call__(self, *, d: int, p: int, key: PRNGKeyArray) -> PreconditionedAttention:
        """A new model for `d` covariates; any number of targets will do."""
        del p
        steps, transforms = jax.random.split(key)
        shape = (self.depth, d, d)
        b = None
        if self.transforms_covariates:
            b = self.init_scale * jax.random.normal(transforms, shape)
        return PreconditionedAttention(self.init_scale * jax.random.normal(steps, shape), b)
