r"""Transformers that are trained to learn in context: prompts to tokens, blocks, read-out.

    joined        context (x_i; y_i), queries (xq; 0)
    alternating   x_1, y_1, x_2, ... as tokens (x; 0; P_t), (0; y; P_t), queries (xq; 0; P_2n)

Queries attend to the context and to nothing else. `P_t` are sinusoids, concatenated. A prediction
is minus the target's slot of a query: there, as in the context, a layer that learns subtracts what
it explains, `y_j <- y_j - dW x_j`. With a plus sign layers that share weights could not descend.
Departs from von Oswald et al., A.12: targets have coordinates of their own in alternating tokens,
and predictions are read there; the published code reads a positional coordinate.
Axes: `t` tokens, `r` residual width, `n` context, `m` queries, `d` covariates, `p` targets.
Reference: von Oswald et al. (2023), arXiv:2212.07677, Sections 3 to 5.
"""

import dataclasses
import math
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.models.attention import Attention
from innerloop.models.linear_layers import attends_linearly, linear_predictions
from innerloop.models.transformer import Block, Transformer, block_at
from innerloop.prompts import Prompt
from innerloop.tokens import CONTEXT_ROLE, QUERY_ROLE, data_tokens

Tokens = Literal["joined", "alternating"]


class InContextTransformer(eqx.Module):
    """A transformer with a tokenisation and a read-out; `SelfAttention` makes new ones.

    Attributes:
        stages: Stacks of blocks, one after the other; the blocks of a stack share a kernel.
        embed: `W_E`, from `(x; y)` to the residual stream; None where tokens are `(x; y)`.
        d: The number of covariates.
        p: The number of targets.
        tokens: The tokenisation.
        positions: How many coordinates of an alternating token are sinusoids of its position.
        damping: The factor of what each block adds to the stream.
        clip: The largest absolute value in the stream after a block; None for no bound.
        fast: Whether stacks of linear attention take the path of `linear_predictions`.
    """

    stages: tuple[Transformer, ...]
    embed: Float[Array | np.ndarray, "r inputs"] | None
    d: int = eqx.field(static=True)
    p: int = eqx.field(static=True)
    tokens: Tokens = eqx.field(static=True, default="joined")
    positions: int = eqx.field(static=True, default=0)
    damping: float = eqx.field(static=True, default=1.0)
    clip: float | None = eqx.field(static=True, default=None)
    fast: bool = eqx.field(static=True, default=True)

    @property
    def depth(self) -> int:
        """The number of blocks that the residual stream passes."""
        return sum(stage.depth for stage in self.stages)

    def __call__(self, prompt: Prompt) -> Float[Array, "m p"]:
        """The predictions at the queries.

        Raises:
            ValueError: If the prompt has other covariates or targets than the model.
        """
        if (prompt.d, prompt.p) != (self.d, self.p):
            raise ValueError(
                f"this model is for d = {self.d} covariates and p = {self.p} targets; the prompt "
                f"has d = {prompt.d} and p = {prompt.p}. Train one for these sizes."
            )
        if self.fast and attends_linearly(self):
            return linear_predictions(self, prompt)
        return -self.streams(prompt)[-1][-prompt.m :, self.read_slots]

    @property
    def read_slots(self) -> slice:
        """Where in the stream a prediction stands: the target's slot, before any positions."""
        return slice(-self.p - self.positions, -self.positions or None)

    def streams(self, prompt: Prompt) -> tuple[Float[Array, "t r"], ...]:
        """The residual stream before the first block and after each, queries last."""
        return self.streams_from(*self.tokenised(prompt), prompt.n)

    def streams_from(
        self, tokens: Float[Array, "t r"], roles: np.ndarray, n: int
    ) -> tuple[Float[Array, "t r"], ...]:
        """The same from tokens, with their positions, and a prompt's `n`."""
        stream, seen = tokens, [tokens]
        for stage in self.stages:
            for layer in stage.order:
                stream = self._block(block_at(stage.blocks, layer), stream, roles, n)
                seen.append(stream)
        return tuple(seen)

    def tokenised(self, prompt: Prompt) -> tuple[Float[Array, "t r"], np.ndarray]:
        """The tokens, and which of them are context."""
        x, y, is_context = data_tokens(prompt)
        joined = self.tokens == "joined"
        tokens = jnp.concatenate([x, y], axis=1) if joined else alternating(x, y, prompt.n)
        if self.embed is not None:
            tokens = tokens @ self.embed.T
        if not joined:
            place = np.arange(len(tokens))
            is_context = place < 2 * prompt.n
            codes = sinusoids(np.minimum(place, 2 * prompt.n), self.positions)
            tokens = jnp.concatenate([tokens, jnp.asarray(codes, tokens.dtype)], axis=1)
        return tokens, np.where(is_context, CONTEXT_ROLE, QUERY_ROLE)

    def _block(self, block: Block, stream: Float[Array, "t r"], roles: np.ndarray, n: int):
        block = dataclasses.replace(block, attention=tuple(map(scaled_scores, block.attention)))
        return self.clipped(stream + self.damping * (block(stream, roles, n) - stream))

    def clipped(self, stream: Float[Array, "t r"]) -> Float[Array, "t r"]:
        """The stream within its bound, where there is one."""
        return stream if self.clip is None else jnp.clip(stream, -self.clip, self.clip)


def scaled_scores(attention: Attention) -> Attention:
    """Softmax heads with scores divided by the root of the key size; other heads as they are."""
    if not attention.kernel.normalised:
        return attention
    scale = 1.0 / math.sqrt(attention.W_Q.shape[-2])
    return eqx.tree_at(lambda a: a.W_Q, attention, attention.W_Q * scale)


def alternating(
    x: Float[Array, "t d"], y: Float[Array, "t p"], n: int
) -> Float[Array, "tokens inputs"]:
    """`(x_1; 0), (0; y_1), ..., (x_n; 0), (0; y_n)`, then the queries `(xq; 0)`."""
    inputs = jnp.concatenate([x, jnp.zeros_like(y)], axis=1)
    answers = jnp.concatenate([jnp.zeros_like(x), y], axis=1)
    turns = jnp.stack([inputs[:n], answers[:n]], axis=1).reshape(2 * n, -1)
    return jnp.concatenate([turns, inputs[n:]])


def sinusoids(place: np.ndarray, size: int) -> np.ndarray:
    """`sin(t w_i), cos(t w_i)` in turn, with frequencies `w_i = 10000^(-2i / size)`.

    Example:
        >>> sinusoids(np.array([0, 1]), 2).round(3).tolist()
        [[0.0, 1.0], [0.841, 0.54]]
    """
    angles = place[:, None] * np.exp(-math.log(10_000.0) * np.arange(0, size, 2) / max(size, 1))
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(place), -1)[:, :size]
