r"""A decoder in the manner of GPT-2 that reads a prompt as a sequence, as Garg et al. train it.

    x_1, y_1, x_2, y_2, ..., x_q      token = W_in (x or (y; 0)) + P_t      prediction at every x_i

Pre-LayerNorm blocks, causal softmax attention, GELU, learnt positions, a LayerNorm at the end.
Axes: `b` sequences, `t` tokens of each, `rows` of all, `r` width, `h` heads, `k` head size,
`l` layers, `f` neurons.
References: Garg et al. (2022), arXiv:2208.01066, Appendix A; Radford et al. (2019), GPT-2.
"""

import math
from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.models.mlp import MLP
from innerloop.models.transformer import LayerNorm
from innerloop.prompts import Prompt

KEPT = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
"""What a block keeps for its gradient: products with weights. Attention is computed again, which is
quicker than to write its weights to memory and read them back, and takes a third of the memory."""


class DecoderBlock(eqx.Module):
    """Causal attention, then neurons, each after a LayerNorm; a stack when leaves carry `l`."""

    W_QKV: Float[Array, "*l r qkv"]
    b_QKV: Float[Array, "*l qkv"]
    W_O: Float[Array, "*l r r"]
    b_O: Float[Array, "*l r"]
    mlp: MLP
    norms: tuple[LayerNorm, LayerNorm]
    heads: int = eqx.field(static=True)

    def __call__(self, rows: Float[Array, "rows r"], t: int) -> Float[Array, "rows r"]:
        """The residual streams after the block, of sequences of `t` tokens one after the other."""
        r = rows.shape[1]
        qkv = self.norms[0](rows) @ self.W_QKV + self.b_QKV[None]
        apart = qkv.reshape(len(rows) // t, t, 3, self.heads, -1)
        queries, keys, values = jnp.moveaxis(apart, (2, 3), (0, 2))
        scores = queries @ jnp.swapaxes(keys, -1, -2) / math.sqrt(r // self.heads)
        causal = jnp.tri(t, dtype=bool)[None, None]
        weights = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf))
        mixed = jnp.moveaxis(weights @ values, 1, 2).reshape(len(rows), r)
        rows = rows + mixed @ self.W_O + self.b_O[None]
        return rows + self.mlp(self.norms[1](rows))


class Decoder(eqx.Module):
    """A causal transformer that predicts a target after every covariate.

    Attributes:
        W_in: From `(x)` or `(y; 0)` to the stream.
        b_in: Added to every token.
        positions: Added by place in the sequence.
        blocks: The blocks, stacked.
        norm: The last LayerNorm.
        W_out: From the stream to a prediction.
        b_out: Added to every prediction.
    """

    W_in: Float[Array, "r d"]
    b_in: Float[Array, " r"]
    positions: Float[Array, "places r"]
    blocks: DecoderBlock
    norm: LayerNorm
    W_out: Float[Array, "p r"]
    b_out: Float[Array, " p"]

    @property
    def depth(self) -> int:
        """The number of blocks."""
        return len(self.blocks.W_O)

    def __call__(self, prompt: Prompt) -> Float[Array, "m p"]:
        """The predictions at the queries, each as if it stood alone after the context."""
        x, y, xq = (jnp.asarray(a) for a in (prompt.x, prompt.y, prompt.xq))
        x, y = (jnp.broadcast_to(a[None], (len(xq), *a.shape)) for a in (x, y))
        return self._read(x, y, xq)[:, -1]

    def prefixes(self, prompt: Prompt) -> Float[Array, "points p"]:
        """Predictions at `x_1, ..., x_n` and the first query, each from the examples before it."""
        return self.batched_prefixes(jax.tree.map(lambda leaf: leaf[None], prompt))[0]

    def batched_prefixes(self, prompts: Prompt) -> Float[Array, "b points p"]:
        """`prefixes` of many prompts, a leading axis in each array: quicker than under `jax.vmap`.

        Products with weights are then of two matrices, a row for each token of each prompt, whose
        gradients need no transposed copies.
        """
        x, y, xq = (jnp.asarray(a) for a in (prompts.x, prompts.y, prompts.xq))
        return self._read(x, y, xq[:, 0])

    def _read(
        self, x: Float[Array, "b n d"], y: Float[Array, "b n p"], xq: Float[Array, "b d"]
    ) -> Float[Array, "b points p"]:
        b, n, d = x.shape
        needed, places = 2 * n + 1, len(self.positions)
        if needed > places:
            raise ValueError(
                f"this decoder knows {places} positions; n = {n} examples and a query need "
                f"{needed}. Make it with more: GPT2(positions={needed})."
            )
        targets = jnp.pad(y, ((0, 0), (0, 0), (0, d - y.shape[2])))
        turns = jnp.stack([x, targets], axis=2).reshape(b, 2 * n, d)
        tokens = jnp.concatenate([turns, xq[:, None]], axis=1).reshape(b * needed, d)
        rows = tokens @ self.W_in.T + self.b_in[None] + jnp.tile(self.positions[:needed], (b, 1))
        block = jax.checkpoint(lambda rows, block: (block(rows, needed), None), policy=KEPT)
        rows, _ = jax.lax.scan(block, rows, self.blocks)
        asked = rows.reshape(b, needed, -1)[:, ::2].reshape(b * (n + 1), -1)
        return (self.norm(asked) @ self.W_out.T + self.b_out[None]).reshape(b, n + 1, -1)


@dataclass(frozen=True)
class GPT2:
    """The architecture; `GPT2.of_size` has the sizes of Garg et al.

    Args:
        depth: How many blocks.
        heads: Heads a block.
        width: Residual width, a multiple of `heads`.
        positions: How many tokens it can read; a prompt of `n` examples needs `2n + 1`.
        init_scale: Standard deviation of a weight; on residual paths `/ sqrt(2 depth)`.

    Example:
        >>> GPT2.of_size("tiny")
        GPT2(depth=3, heads=2, width=64, positions=202, init_scale=0.02)
    """

    depth: int = 3
    heads: int = 2
    width: int = 64
    positions: int = 202
    init_scale: float = 0.02

    def __post_init__(self):
        if self.width % self.heads:
            raise ValueError(
                f"width must be a multiple of heads; got {self.width} and {self.heads}."
            )

    @staticmethod
    def of_size(size: Literal["tiny", "small", "standard"]) -> "GPT2":
        """Depth x heads x width: tiny 3x2x64, small 6x4x128, standard 12x8x256."""
        sizes = {"tiny": (3, 2, 64), "small": (6, 4, 128), "standard": (12, 8, 256)}
        return GPT2(*sizes[size])

    def __call__(self, *, d: int, p: int, key: PRNGKeyArray) -> Decoder:
        """A new model for `d` covariates and `p <= d` targets."""
        if p > d:
            raise ValueError(f"a token holds at most d = {d} numbers; got p = {p} targets.")
        r, blocks = self.width, jax.random.split(key, self.depth + 3)
        ins, places, outs = blocks[self.depth :]
        bound = 1.0 / math.sqrt(d), 1.0 / math.sqrt(r)
        return Decoder(
            W_in=jax.random.uniform(ins, (r, d), minval=-bound[0], maxval=bound[0]),
            b_in=jnp.zeros(r),
            positions=self.init_scale * jax.random.normal(places, (self.positions, r)),
            blocks=jax.vmap(self._block)(blocks[: self.depth]),
            norm=LayerNorm(jnp.ones(r), jnp.zeros(r)),
            W_out=jax.random.uniform(outs, (p, r), minval=-bound[1], maxval=bound[1]),
            b_out=jnp.zeros(p),
        )

    def _block(self, key: PRNGKeyArray) -> DecoderBlock:
        r, residual = self.width, self.init_scale / math.sqrt(2 * self.depth)
        qkv, out, up, down = jax.random.split(key, 4)
        norm = LayerNorm(jnp.ones(r), jnp.zeros(r))
        return DecoderBlock(
            W_QKV=self.init_scale * jax.random.normal(qkv, (r, 3 * r)),
            b_QKV=jnp.zeros(3 * r),
            W_O=residual * jax.random.normal(out, (r, r)),
            b_O=jnp.zeros(r),
            mlp=MLP(
                self.init_scale * jax.random.normal(up, (4 * r, r)),
                jnp.zeros(4 * r),
                residual * jax.random.normal(down, (r, 4 * r)),
                jnp.zeros(r),
                activation="gelu",
            ),
            norms=(norm, norm),
            heads=self.heads,
        )
