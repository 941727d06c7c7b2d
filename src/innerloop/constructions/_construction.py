r"""A construction: a transformer written down by hand, with its embedding and its read-out.

    tokens = [W_E [x; y; 1; position]; the registers]        prediction = W_U h

`W_E` has one matrix for context examples and one for queries, because papers begin the query's
target slot in their own ways; where covariates and targets come in turn, one for each, and one for
queries.
Axes: `r` residual width, `n` context, `m` queries, `d` covariates, `p` targets.
"""

from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from innerloop.constructions._blocks import Layer, bank
from innerloop.models import Transformer
from innerloop.precision import in_precision, is_traced
from innerloop.prompts import Prompt
from innerloop.tokens import CONTEXT_ROLE, QUERY_ROLE, REGISTER_ROLE, data_tokens


class Construction(eqx.Module):
    """A transformer of the literature, as an object that answers prompts.

    Attributes:
        transformer: The weights; the same class as every other model.
        embed: `W_E`, by kind of token, from `[x; y; 1; position]` to the residual stream. Two
            kinds are (context, query), three are (covariates, targets, query) of a prompt whose
            covariates and targets are tokens of their own, in turn.
        unembed: `W_U`, from a query's residual stream to the prediction; papers' signs go here.
        registers: Tokens that belong to the model.
        d: The number of covariates.
        sublayers: Its depth where attention and MLP count as one layer each.
        divisor: What heads that average divide by: the context examples, or all tokens.
        one_query: Whether queries are answered one by one, for papers whose query is read.
    """

    transformer: Transformer
    embed: Float[Array | np.ndarray, "kinds r inputs"]
    unembed: Float[Array | np.ndarray, "p r"]
    registers: Float[Array | np.ndarray, "registers r"]
    d: int = eqx.field(static=True)
    sublayers: int = eqx.field(static=True)
    divisor: Literal["context", "tokens"] = eqx.field(static=True, default="context")
    one_query: bool = eqx.field(static=True, default=False)

    @property
    def depth(self) -> int:
        """Blocks of attention and MLP that the residual stream passes."""
        return self.transformer.depth

    @property
    def width(self) -> int:
        """Residual width."""
        return self.embed.shape[1]

    @property
    def p(self) -> int:
        """Number of targets."""
        return self.unembed.shape[0]

    @property
    def positions(self) -> int:
        """How many positions have a code; 0 where the order of the context is not read."""
        return self.embed.shape[2] - self.d - self.p - 1

    def __call__(self, prompt: Prompt) -> Float[Array | np.ndarray, "m p"]:
        """The predictions at the queries, `(m, p)`; numpy where the prompt holds numpy arrays.

        Raises:
            ValueError: If the prompt has other covariates or targets, or is too long.
        """
        return self.stream(prompt, self.unembed)

    def stream(
        self, prompt: Prompt, read: Float[Array | np.ndarray, "q r"] | None = None
    ) -> Float[Array | np.ndarray, "m q"]:
        """What the queries' residual stream holds after the last layer, as `read` sees it."""
        if (prompt.d, prompt.p) != (self.d, self.p):
            raise ValueError(
                f"this construction is for d = {self.d} covariates and p = {self.p} targets; the "
                f"prompt has d = {prompt.d} and p = {prompt.p}."
            )
        needed = prompt.n * (len(self.embed) - 1) + 1
        if 0 < self.positions < needed:
            raise ValueError(
                f"this construction knows {self.positions} positions; a prompt of n = {prompt.n} "
                f"examples needs {needed}. Write it down for more."
            )
        read = np.eye(self.width) if read is None else read
        cast = jax.tree.map(lambda leaf: _as_dtype(leaf, str(self.embed.dtype)), prompt)
        run = _one_by_one if self.one_query else _run
        return in_precision(lambda p: run(self, read, p), str(self.embed.dtype), cast)


def construction(
    layers: Sequence[Layer],
    *,
    d: int,
    embed: Sequence[Float[np.ndarray, "r inputs"]],
    unembed: Float[np.ndarray, "p r"],
    repeats: int | Sequence[int] = 1,
    registers: Float[np.ndarray, "registers r"] | None = None,
    divisor: Literal["context", "tokens"] = "context",
    one_query: bool = False,
    activation: str = "relu",
) -> Construction:
    """Layers as a construction.

    Args:
        layers: The layers of the bank.
        d: The number of covariates.
        embed: `W_E` by kind of token.
        unembed: `W_U`.
        repeats: How often the whole bank is visited, or the visits one by one.
        registers: Tokens that belong to the model; none by default.
        divisor: What heads that average divide by.
        one_query: Whether queries are answered one by one.
        activation: That of the neurons.

    Returns:
        The construction.
    """
    order = tuple(range(len(layers))) * repeats if isinstance(repeats, int) else tuple(repeats)
    return Construction(
        Transformer(bank(layers, activation), order),
        np.stack(embed),
        unembed,
        np.zeros((0, unembed.shape[1])) if registers is None else registers,
        d,
        sum(layers[i].sublayers for i in order),
        divisor,
        one_query,
    )


def _as_dtype(leaf: Array | np.ndarray, dtype: str) -> Array | np.ndarray:
    return leaf if leaf.dtype == dtype or is_traced(leaf) else leaf.astype(dtype)


def _tokens(
    model: Construction, prompt: Prompt
) -> tuple[Float[Array, "t r"], Int[np.ndarray, " t"]]:
    """The residual stream before the first layer, and the role of each token."""
    x, y, _ = data_tokens(prompt)
    n, m, kinds = prompt.n, prompt.m, len(model.embed)
    per_example = kinds - 1
    position = np.minimum(np.arange(per_example * n + m), per_example * n)
    codes = jnp.asarray(np.arange(model.positions)[None] == position[:, None], x.dtype)
    ones = jnp.ones((n + m, 1), x.dtype)
    if kinds == 2:
        inputs = jnp.concatenate([x, y, ones, codes], axis=1)
        parts = [inputs[:n] @ model.embed[0].T, inputs[n:] @ model.embed[1].T]
    else:
        whole = jnp.concatenate([x, y, ones], axis=1)
        inputs, targets = (
            jnp.concatenate([whole[:n], codes[start : 2 * n : 2]], axis=1) for start in (0, 1)
        )
        pairs = jnp.stack([inputs @ model.embed[0].T, targets @ model.embed[1].T], axis=1)
        queries = jnp.concatenate([whole[n:], codes[2 * n :]], axis=1) @ model.embed[2].T
        parts = [pairs.reshape(2 * n, -1), queries]
    sizes = (len(parts[0]), m, len(model.registers))
    roles = np.repeat([CONTEXT_ROLE, QUERY_ROLE, REGISTER_ROLE], sizes)
    return jnp.concatenate([*parts, jnp.asarray(model.registers)]), roles


@jax.jit
def _run(model: Construction, read: Float[Array, "q r"], prompt: Prompt) -> Float[Array, "m q"]:
    tokens, roles = _tokens(model, prompt)
    n = prompt.n if model.divisor == "context" else len(tokens)
    stream = model.transformer(tokens, roles, n)
    first = int(np.argmax(roles == QUERY_ROLE)) if prompt.m else 0
    return stream[first : first + prompt.m] @ read.T


@jax.jit
def _one_by_one(
    model: Construction, read: Float[Array, "q r"], prompt: Prompt
) -> Float[Array, "m q"]:
    return jax.vmap(lambda xq: _run(model, read, Prompt(prompt.x, prompt.y, xq[None]))[0])(
        jnp.asarray(prompt.xq)
    )
