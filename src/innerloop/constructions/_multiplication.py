r"""Element-wise multiplication: attention of every token to itself.

    h_i <- h_i + sum_m <W_Q h_i, W_K h_i> W_O W_V h_i

Not a part of any transformer, so it stands here and not among the models; the only thing that
differs from attention is the mask, which is the identity.
Axes: `t` tokens, `r` residual width, `h` heads.
Reference: Wu et al. (2024), arXiv:2411.16549, Definition 6.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from innerloop.models import Attention


class Multiplication(Attention):
    """Heads whose tokens read themselves and no other, whatever their role.

    Departs from the rule that no class is overridden: a bank of blocks holds `Attention`, and who
    reads its fields may read these.
    """

    def __call__(
        self, tokens: Float[Array, "t r"], roles: Int[Array | np.ndarray, " t"], n: int
    ) -> Float[Array, "t r"]:
        """What the heads add to the residual stream; neither roles nor `n` matter."""
        del roles, n
        queries = jnp.einsum("tr,hkr->htk", tokens, self.W_Q)
        keys = jnp.einsum("tr,hkr->htk", tokens, self.W_K)
        values = jnp.einsum("tr,hvr->htv", tokens, self.W_V)
        scores = self.kernel.scores(queries[..., None, :], keys[..., None, :])[..., 0]
        return jnp.einsum("htv,hrv->tr", scores * values, self.W_O)
