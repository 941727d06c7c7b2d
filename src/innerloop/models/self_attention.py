r"""Architectures of von Oswald et al.: what a trained in-context learner is made of, and its start.

    W ~ truncated normal of standard deviation sqrt(init_scale / (depth fan_in))

Called with sizes and a key, an architecture gives a new model.
Axes: `r` residual width, `h` heads, `k` key size, `l` layers.
Reference: von Oswald et al. (2023), arXiv:2212.07677, A.12, and the released code's initialisers.
"""

import math
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.kernels import Kernel
from innerloop.models.attention import Attention
from innerloop.models.in_context import InContextTransformer, Tokens
from innerloop.models.mlp import MLP
from innerloop.models.transformer import Block, LayerNorm, Transformer
from innerloop.tokens import CONTEXT_ROLE, ROLES

KernelName = Literal["linear", "softmax", "relu", "exp"]
TRUNCATED = 0.87962566103423978
"""The standard deviation of a standard normal number truncated at two."""


@dataclass(frozen=True)
class SelfAttention:
    """A stack of self-attention, with or without neurons and LayerNorm.

    Args:
        depth: How many layers.
        heads: Heads a layer.
        kernel: The score function; a tuple names one for each layer.
        tied: Whether all layers are the same one.
        averages: Whether heads divide by the number of context examples.
        mlp: Neurons of a layer's MLP as a multiple of its width; 0 for none.
        layer_norm: Whether tokens are normalised before attention and before neurons.
        tokens: The tokenisation.
        positions: Sinusoidal coordinates of an alternating token.
        width: The width of a linear embedding of `(x; y)`; None for no embedding.
        features: Neurons of an MLP on every token before the first layer, as a multiple of the
            width, without LayerNorm; 0 for none. Attention then descends on features of `x`.
        damping: The factor of what each block adds.
        clip: The largest absolute value in the stream after a block.
        init_scale: The variance of a weight at the start, times fan-in and depth.

    Example:
        >>> model = SelfAttention(depth=2, tied=True)(d=3, p=1, key=jax.random.key(0))
        >>> model.depth, model.stages[0].blocks.attention[0].W_Q.shape
        (2, (1, 1, 4, 4))
        >>> model = SelfAttention(width=8, features=4)(d=1, p=1, key=jax.random.key(0))
        >>> [stage.blocks.mlp is not None for stage in model.stages]
        [True, False]
    """

    depth: int = 1
    heads: int = 1
    kernel: KernelName | tuple[KernelName, ...] = "linear"
    tied: bool = False
    averages: bool = False
    mlp: int = 0
    layer_norm: bool = False
    tokens: Tokens = "joined"
    positions: int = 10
    width: int | None = None
    features: int = 0
    damping: float = 1.0
    clip: float | None = None
    init_scale: float = 0.002

    def __post_init__(self):
        if self.depth < 1 or self.heads < 1:
            raise ValueError(
                f"depth and heads must be at least 1; got {self.depth} and {self.heads}."
            )
        if isinstance(self.kernel, tuple) and (self.tied or len(self.kernel) != self.depth):
            raise ValueError(
                f"a tuple of kernels names one for each of {self.depth} untied layers; got "
                f"{len(self.kernel)}, tied={self.tied}."
            )

    def __call__(self, *, d: int, p: int, key: PRNGKeyArray) -> InContextTransformer:
        """A new model for `d` covariates and `p` targets."""
        positions = self.positions if self.tokens == "alternating" else 0
        inputs = d + p if self.width is None else self.width
        embedding, *keys = jax.random.split(key, 1 + self.depth)
        embed = None
        if self.width is not None:
            embed = self._matrix(embedding, (self.width, d + p))
        kernels = self.kernel if isinstance(self.kernel, tuple) else (self.kernel,) * self.depth
        stages = []
        if self.features:
            ins, outs = jax.random.split(jax.random.fold_in(embedding, 1))
            neurons = self._neurons(self.features, inputs + positions, ins, outs)
            stages.append(Transformer(jax.tree.map(lambda a: a[None], Block((), neurons)), (0,)))
        for name, run in groupby(range(self.depth), lambda layer: kernels[layer]):
            layers = list(run)
            bank = layers[:1] if self.tied else layers
            blocks = [self._block(name, inputs + positions, keys[layer]) for layer in bank]
            stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)
            order = (0,) * self.depth if self.tied else tuple(range(len(layers)))
            stages.append(Transformer(stacked, order))
        return InContextTransformer(
            tuple(stages), embed, d, p, self.tokens, positions, self.damping, self.clip
        )

    def _block(self, kernel: str, r: int, key: PRNGKeyArray) -> Block:
        queries, keys, values, outputs, ins, outs = jax.random.split(key, 6)
        square = (self.heads, r, r)
        heads = Attention(
            W_Q=self._matrix(queries, square),
            W_K=self._matrix(keys, square),
            W_V=self._matrix(values, square),
            W_O=self._matrix(outputs, square, fan_in=self.heads * r),
            averages=np.full(self.heads, self.averages),
            readers=np.ones((self.heads, len(ROLES)), bool),
            sources=np.tile(np.arange(len(ROLES)) == CONTEXT_ROLE, (self.heads, 1)),
            kernel=Kernel(kernel),
        )
        norm = LayerNorm(jnp.ones(r), jnp.zeros(r))
        neurons = self._neurons(self.mlp, r, ins, outs) if self.mlp else None
        return Block((heads,), neurons, (norm, norm) if self.layer_norm else None)

    def _neurons(self, factor: int, r: int, ins: PRNGKeyArray, outs: PRNGKeyArray) -> MLP:
        return MLP(
            self._matrix(ins, (factor * r, r)),
            jnp.zeros(factor * r),
            self._matrix(outs, (r, factor * r)),
            jnp.zeros(r),
            activation="gelu",
        )

    def _matrix(
        self, key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int | None = None
    ) -> Float[Array, "..."]:
        deviation = math.sqrt(self.init_scale / (self.depth * (fan_in or shape[-1]))) / TRUNCATED
        return deviation * jax.random.truncated_normal(key, -2.0, 2.0, shape)
