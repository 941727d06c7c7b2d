r"""Stacks of linear attention, in fewer operations than head by head.

    G = C^T C,     T = lambda sum_h A_h G B_h,      C <- C + C T,   Q <- Q + Q T

`C` holds the context tokens, `Q` the queries, `A = W_Q^T W_K` and `B = (W_O W_V)^T` the products of
a head, which are all that it does. In the last layer only queries are needed, and of them only the
target's slot, negated: `sum_h (Q A_h C^T) (C B_h)`, which never forms a matrix of tokens by width.
Neurons, where there are any, act on `C` and `Q` after attention, in the last layer on all of `Q`; a
bound on the stream clips both after every layer.
Axes: `n` context, `m` queries, `r` residual width, `p` targets, `h` heads.
"""

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array, Float

from innerloop.models.attention import Attention, cheaper_order
from innerloop.models.transformer import Block, block_at
from innerloop.prompts import Prompt

if TYPE_CHECKING:
    from innerloop.models.in_context import InContextTransformer


def attends_linearly(model: "InContextTransformer") -> bool:
    """Whether a model is linear attention on joined tokens, with neurons or without.

    Damping is taken into the products of heads, which it cannot be where neurons follow.
    """
    return model.tokens == "joined" and all(
        stage.blocks.norms is None
        and len(stage.blocks.attention) == 1
        and stage.blocks.attention[0].kernel.name == "linear"
        and (stage.blocks.mlp is None or model.damping == 1.0)
        for stage in model.stages
    )


def is_linear(model: "InContextTransformer") -> bool:
    """Whether a model is linear attention on joined tokens, and nothing else."""
    without = all(stage.blocks.mlp is None for stage in model.stages)
    return without and attends_linearly(model)


def products(
    attention: Attention,
) -> tuple[Float[Array, "*l h r r"], Float[Array, "*l h r r"]]:
    """What a head amounts to: `W_Q^T W_K`, and `(W_O W_V)^T`, by head.

    In von Oswald et al.'s letters these are the transposes of `W_KQ` and of `P W_V`.
    """
    queries_keys = jnp.einsum("...hkr,...hks->...hrs", attention.W_Q, attention.W_K)
    values_outputs = jnp.einsum("...hvr,...hsv->...hrs", attention.W_V, attention.W_O)
    return queries_keys, values_outputs


def linear_predictions(model: "InContextTransformer", prompt: Prompt) -> Float[Array, "m p"]:
    """The predictions of a stack of linear attention; equal to those of its blocks."""
    tokens, _ = model.tokenised(prompt)
    context, queries = tokens[: prompt.n], tokens[prompt.n :]
    blocks = [block_at(stage.blocks, layer) for stage in model.stages for layer in stage.order]
    heads = [_scaled_products(model, block, prompt.n) for block in blocks]
    for block, (queries_keys, values_outputs) in zip(blocks[:-1], heads[:-1], strict=True):
        step = _step(context, queries_keys, values_outputs)
        if block.mlp is None:
            context, queries = (model.clipped(t + step(t)) for t in (context, queries))
        else:
            tokens = jnp.concatenate([context, queries])
            tokens = model.clipped(block.after_neurons(tokens + step(tokens)))
            context, queries = tokens[: prompt.n], tokens[prompt.n :]
    queries_keys, values_outputs = heads[-1]
    if blocks[-1].mlp is not None:
        queries = queries + _step(context, queries_keys, values_outputs)(queries)
        return -model.clipped(blocks[-1].after_neurons(queries)[:, model.read_slots])
    read = values_outputs[:, :, model.read_slots]
    scores = jnp.einsum("mr,hrs,ns->hmn", queries, queries_keys, context)
    values = jnp.einsum("nr,hrp->hnp", context, read)
    written = jnp.einsum("hmn,hnp->mp", scores, values)
    return -model.clipped(queries[:, model.read_slots] + written)


def _scaled_products(
    model: "InContextTransformer", block: Block, n: int
) -> tuple[Float[Array, "h r r"], Float[Array, "h r r"]]:
    """The products of a block's heads, with damping and the mean over the context in the second."""
    queries_keys, values_outputs = products(block.attention[0])
    scale = jnp.where(jnp.asarray(block.attention[0].averages), 1.0 / n, 1.0) * model.damping
    return queries_keys, values_outputs * scale[:, None, None].astype(values_outputs.dtype)


def _step(
    context: Float[Array, "n r"],
    queries_keys: Float[Array, "h r r"],
    values_outputs: Float[Array, "h r r"],
):
    """What a layer adds to tokens, as a function of them; in the cheaper association."""
    n, r = context.shape
    if cheaper_order(n, r, r) == "keys_first":
        gram = context.T @ context
        update = jnp.einsum("hrs,st,htu->ru", queries_keys, gram, values_outputs)
        return lambda tokens: tokens @ update
    values = jnp.einsum("nr,hrs->hns", context, values_outputs)
    return lambda tokens: jnp.einsum("tr,hrs,ns,hnu->tu", tokens, queries_keys, context, values)


def bilinear(model: "InContextTransformer", n: int) -> Float[Array, "r r d p"]:
    r"""A single layer as a bilinear form: `prediction_c = sum N_abec G_ab xq_e`, `G = C^T C`.

    Args:
        model: One layer of linear attention on joined tokens, without an embedding.
        n: The number of context examples.

    Returns:
        `N`, from which the population loss is computed.

    Raises:
        ValueError: If the model is something else.
    """
    if not is_linear(model) or model.depth != 1 or model.embed is not None or model.clip:
        raise ValueError(
            "the population loss is exact for one layer of linear attention on joined tokens, "
            f"without embedding, clipping, neurons or LayerNorm; got depth {model.depth} and "
            f"tokens {model.tokens!r}. Use the sampled loss."
        )
    stage = model.stages[0]
    queries_keys, values_outputs = _scaled_products(model, block_at(stage.blocks, 0), n)
    read = values_outputs[:, :, model.read_slots]
    return -jnp.einsum("heb,hac->abec", queries_keys[:, : model.d], read)
