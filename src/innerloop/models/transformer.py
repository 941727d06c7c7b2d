r"""An ordinary transformer: a bank of blocks, and the order in which the stream meets them.

    h <- h + attention(norm(h)),      h <- h + mlp(norm(h))

A stacked model visits each block once, a looped one visits the same blocks again and again; both
are one `lax.scan` over `order`. Compiled, constructed and trained weights are all this class.
Axes: `t` tokens, `r` residual width, `l` blocks in the bank, `depth` blocks visited.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from innerloop.models.attention import Attention
from innerloop.models.mlp import MLP


class LayerNorm(eqx.Module):
    """`gain * (h - mean(h)) / sqrt(var(h) + 1e-5) + shift`, token by token."""

    gain: Float[Array | np.ndarray, "*l r"]
    shift: Float[Array | np.ndarray, "*l r"]

    def __call__(self, tokens: Float[Array, "t r"]) -> Float[Array, "t r"]:
        """The normalised tokens."""
        centred = tokens - tokens.mean(-1, keepdims=True)
        scale = jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return centred * self.gain[None] * scale + self.shift[None]


class Block(eqx.Module):
    """Attention, then an MLP, each adding to the residual stream; a stack when leaves carry `l`.

    Attributes:
        attention: One entry for each kernel in use.
        mlp: The neurons, or None.
        norms: LayerNorms before attention and before the MLP, or None.
    """

    attention: tuple[Attention, ...]
    mlp: MLP | None
    norms: tuple[LayerNorm, LayerNorm] | None = None

    def __call__(
        self, tokens: Float[Array, "t r"], roles: Int[Array | np.ndarray, " t"], n: int
    ) -> Float[Array, "t r"]:
        """The residual stream after this block; `n` is the number of context tokens."""
        return self.after_neurons(self.after_attention(tokens, roles, n))

    def after_attention(
        self, tokens: Float[Array, "t r"], roles: Int[Array | np.ndarray, " t"], n: int
    ) -> Float[Array, "t r"]:
        """The residual stream between attention and MLP."""
        read = tokens if self.norms is None else self.norms[0](tokens)
        for heads in self.attention:
            tokens = tokens + heads(read, roles, n)
        return tokens

    def after_neurons(self, tokens: Float[Array, "t r"]) -> Float[Array, "t r"]:
        """The residual stream after the MLP, from that before it."""
        if self.mlp is None:
            return tokens
        return tokens + self.mlp(tokens if self.norms is None else self.norms[1](tokens))


class Transformer(eqx.Module):
    """A bank of blocks stacked on their first axis, visited in `order`.

    Args:
        blocks: The bank, each leaf `(l, ...)`.
        order: Which block of the bank comes at each layer; `range(l)` is an ordinary stack.

    Example:
        >>> import numpy as np
        >>> from innerloop.models import MLP
        >>> double = MLP(np.ones((1, 1, 1)), np.zeros((1, 1)), np.ones((1, 1, 1)), np.zeros((1, 1)))
        >>> looped = Transformer(Block((), double), order=(0, 0, 0))
        >>> looped(np.ones((1, 1)), roles=np.zeros(1, int), n=1).tolist()
        [[8.0]]
    """

    blocks: Block
    order: tuple[int, ...] = eqx.field(static=True)

    @property
    def depth(self) -> int:
        """The number of blocks that the residual stream passes."""
        return len(self.order)

    def __call__(
        self,
        tokens: Float[Array | np.ndarray, "t r"],
        roles: Int[Array | np.ndarray, " t"],
        n: int,
    ) -> Float[Array, "t r"]:
        """The residual stream after the last layer."""
        return visit(self.blocks, np.asarray(self.order, np.int32), tokens, roles, n)[0]


def block_at(blocks: Block, layer: Int[Array, ""] | int) -> Block:
    """One block of a bank."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[layer], blocks)


def visit(
    blocks: Block,
    order: Int[Array | np.ndarray, " depth"],
    tokens: Float[Array | np.ndarray, "t r"],
    roles: Int[Array | np.ndarray, " t"],
    n: int,
    observe: Callable[[Float[Array, "t r"], Int[Array, ""]], PyTree] | None = None,
) -> tuple[Float[Array, "t r"], PyTree]:
    """Passes the residual stream through blocks of a bank.

    Args:
        blocks: The bank.
        order: Which blocks, in turn.
        tokens: The residual stream at the start.
        roles: What each token is.
        n: The number of context tokens.
        observe: Called in every block with the stream before its MLP and the block's place in
            the bank.

    Returns:
        The stream at the end, and what `observe` returned, stacked over layers.
    """

    def body(stream, layer):
        block = block_at(blocks, layer)
        middle = block.after_attention(stream, roles, n)
        seen = None if observe is None else observe(middle, layer)
        return block.after_neurons(middle), seen

    return jax.lax.scan(body, jnp.asarray(tokens), jnp.asarray(order))
