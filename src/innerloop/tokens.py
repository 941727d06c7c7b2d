"""The one convention for tokens: who is who, who is read, and where the sign and the 1/n stand.

- A prompt becomes `n` context tokens, then `m` query tokens. Compiled models add register tokens,
  which hold what all tokens share, one row of a matrix each. Where attention is softmax they add a
  sink, which takes the weight that no other token should have, and says nothing.
- Query tokens run the same code as context tokens with a target of zero, and are never read:
  they are masked as keys in every reduction and in every attention head.
- A prediction is read with a plus sign, and the mean over the context divides by `n`, the number
  of context examples, never by the number of tokens.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from innerloop.prompts import Prompt

CONTEXT = "context"
"""The name of the axis that a learner's collectives (`jax.lax.pmean`, `psum`) reduce over."""

CONTEXT_ROLE, QUERY_ROLE, REGISTER_ROLE, SINK_ROLE = 0, 1, 2, 3
ROLES = ("context", "query", "register", "sink")
READ_ROLES = (True, False, True, True)
"""By role, whether a token may be a key: queries never are."""


def data_tokens(
    prompt: Prompt,
) -> tuple[Float[Array, "t d"], Float[Array, "t p"], Bool[np.ndarray, " t"]]:
    """The prompt as `t = n + m` tokens: covariates, targets (zero for queries), and who is context.

    Example:
        >>> x, y, is_context = data_tokens(Prompt([[1.0], [2.0]], [[3.0], [4.0]], [[5.0]]))
        >>> x[:, 0].tolist(), y[:, 0].tolist(), is_context.tolist()
        ([1.0, 2.0, 5.0], [3.0, 4.0, 0.0], [True, True, False])
    """
    dtype = prompt.dtype
    x = jnp.concatenate([jnp.asarray(prompt.x, dtype), jnp.asarray(prompt.xq, dtype)])
    y = jnp.concatenate([jnp.asarray(prompt.y, dtype), jnp.zeros((prompt.m, prompt.p), dtype)])
    return x, y, np.arange(prompt.n + prompt.m) < prompt.n
