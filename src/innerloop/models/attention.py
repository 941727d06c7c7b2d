r"""Multi-head attention over tokens with roles: a score, a normaliser, a mask.

    head(h)_i = c sum_{j read} kernel(W_K h_j, W_Q h_i) W_V h_j ,    out_i = sum_heads W_O head(h)_i

`c` is 1 for a head that sums and 1/n for a head that averages over the `n` context tokens;
the softmax kernel normalises its own weights. Query tokens are never read.
Axes: `t` tokens, `r` residual width, `h` heads, `k` key size, `v` value size, `l` layers.
"""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from innerloop.kernels import Kernel

Order = Literal["keys_first", "scores_first"]


class Attention(eqx.Module):
    """Heads that share one kernel.

    Attributes:
        W_Q: Query maps.
        W_K: Key maps.
        W_V: Value maps.
        W_O: Output maps.
        averages: Which heads divide by the number of context tokens.
        readers: By role, which tokens a head writes to.
        sources: By role, which tokens a head reads; never the queries.
        kernel: The score function.
    """

    W_Q: Float[Array | np.ndarray, "*l h k r"]
    W_K: Float[Array | np.ndarray, "*l h k r"]
    W_V: Float[Array | np.ndarray, "*l h v r"]
    W_O: Float[Array | np.ndarray, "*l h r v"]
    averages: Bool[Array | np.ndarray, "*l h"]
    readers: Bool[Array | np.ndarray, "*l h roles"]
    sources: Bool[Array | np.ndarray, "*l h roles"]
    kernel: Kernel = eqx.field(static=True, default=Kernel("linear"))

    def __call__(
        self, tokens: Float[Array, "t r"], roles: Int[Array | np.ndarray, " t"], n: int
    ) -> Float[Array, "t r"]:
        """What the heads add to the residual stream; `n` is the number of context tokens."""
        queries = jnp.einsum("tr,hkr->htk", tokens, self.W_Q)
        keys = jnp.einsum("tr,hkr->htk", tokens, self.W_K)
        values = jnp.einsum("tr,hvr->htv", tokens, self.W_V)
        read, written = (jnp.asarray(by_role)[:, roles] for by_role in (self.sources, self.readers))
        mixed = mix(self.kernel, queries, keys, values, read, written)
        scale = jnp.where(self.averages, 1.0 / n, 1.0).astype(tokens.dtype)
        return jnp.einsum("htv,hrv->tr", mixed * scale[:, None, None], self.W_O)


def mix(
    kernel: Kernel,
    queries: Float[Array, "h t k"],
    keys: Float[Array, "h t k"],
    values: Float[Array, "h t v"],
    read: Bool[Array, "h t"],
    written: Bool[Array, "h t"],
) -> Float[Array, "h t v"]:
    """Each token's weighted sum of the values of the tokens it reads.

    A linear kernel is computed in whichever association is cheaper: `q (K^T V)`, whose cost grows
    linearly with the tokens, once there are more tokens than `k v / (k + v)`.
    """
    _, t, k = keys.shape
    values = jnp.where(read[..., None], values, 0.0)
    if kernel.normalised:
        logits = jnp.where(read[:, None, :], kernel.scores(queries, keys), -jnp.inf)
        mixed = jax.nn.softmax(logits, axis=-1) @ values
    elif kernel.name == "linear" and cheaper_order(t, k, values.shape[-1]) == "keys_first":
        summary = jnp.einsum("htk,htv->hkv", jnp.where(read[..., None], keys, 0.0), values)
        mixed = queries @ summary
    else:
        mixed = jnp.where(read[:, None, :], kernel.scores(queries, keys), 0.0) @ values
    return jnp.where(written[..., None], mixed, 0.0)


def cheaper_order(t: int, k: int, v: int) -> Order:
    """The association of `q k^T v` that takes fewer multiplications for `t` tokens.

    Example:
        >>> cheaper_order(t=1000, k=8, v=8), cheaper_order(t=4, k=64, v=64)
        ('keys_first', 'scores_first')
    """
    return "keys_first" if 2 * k * v <= t * (k + v) else "scores_first"
