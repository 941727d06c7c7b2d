"""Blocks, norms and the order of layers against loops; looped or stacked, it is one class."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop.kernels import Kernel
from innerloop.models import Block, Transformer, visit
from tests.models.weights import (
    ROLES,
    N,
    as_dict,
    draw_attention,
    draw_mlp,
    draw_norm,
    draw_tokens,
)
from tests.oracles import transformer as oracle


def bank(rng, *, normed=False):
    """Two blocks with linear and softmax heads, stacked on the first axis."""
    attention = tuple(
        draw_attention(rng, Kernel(name), layers=(2,)) for name in ("linear", "softmax")
    )
    norms = (draw_norm(rng, layers=(2,)), draw_norm(rng, layers=(2,))) if normed else None
    return Block(attention, draw_mlp(rng, "relu", layers=(2,)), norms)


def by_loops(blocks, order, tokens):
    """The stream after each layer of `order`, from the oracle."""
    for layer in order:
        block = jax.tree.map(lambda leaf, layer=layer: np.asarray(leaf)[layer], blocks)
        read = tokens
        if block.norms is not None:
            read = oracle.layer_norm(block.norms[0].gain, block.norms[0].shift, tokens)
        for heads in block.attention:
            tokens = tokens + oracle.attention(as_dict(heads), heads.kernel, read, ROLES, N)
        read = tokens
        if block.norms is not None:
            read = oracle.layer_norm(block.norms[1].gain, block.norms[1].shift, tokens)
        tokens = tokens + oracle.neurons(as_dict(block.mlp), block.mlp.activation, read)
    return tokens


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("order", [(0,), (0, 1), (1, 0), (0, 0, 0), (0, 1, 1, 0, 1)])
def test_layers_come_in_their_order(order, normed, rng):
    blocks, tokens = bank(rng, normed=normed), 0.3 * draw_tokens(rng)
    found = Transformer(blocks, order)(tokens, ROLES, N)
    np.testing.assert_allclose(found, by_loops(blocks, order, tokens), rtol=1e-10)


def test_another_order_is_seen(rng):
    """The deliberate fault of the test above."""
    blocks, tokens = bank(rng), 0.3 * draw_tokens(rng)
    found = Transformer(blocks, (0, 1))(tokens, ROLES, N)
    assert not np.allclose(found, by_loops(blocks, (1, 0), tokens), atol=1e-6)


def test_a_missing_norm_is_seen(rng):
    blocks, tokens = bank(rng, normed=True), draw_tokens(rng)
    bare = Block(blocks.attention, blocks.mlp)
    found = Transformer(bare, (0, 1))(tokens, ROLES, N)
    assert not np.allclose(found, by_loops(blocks, (0, 1), tokens), atol=1e-6)


def test_depth_is_the_number_of_layers_visited(rng):
    assert Transformer(bank(rng), (0, 1, 1, 0, 1)).depth == 5


def test_a_normed_token_has_mean_zero_and_variance_one(rng):
    norm, tokens = draw_norm(rng), jnp.asarray(draw_tokens(rng))
    expected = oracle.layer_norm(norm.gain, norm.shift, np.asarray(tokens))
    np.testing.assert_allclose(norm(tokens), expected, rtol=1e-11)


def test_a_block_is_its_two_halves(rng):
    whole, tokens = bank(rng), jnp.asarray(draw_tokens(rng))
    block = jax.tree.map(lambda leaf: np.asarray(leaf)[0], whole)
    middle = block.after_attention(tokens, ROLES, N)
    np.testing.assert_array_equal(block(tokens, ROLES, N), block.after_neurons(middle))


def test_a_block_may_have_no_neurons_and_no_heads(rng):
    tokens = jnp.asarray(draw_tokens(rng))
    np.testing.assert_array_equal(Block((), None)(tokens, ROLES, N), tokens)


def test_an_observer_sees_every_layer_between_attention_and_neurons(rng):
    blocks, tokens = bank(rng), 0.3 * draw_tokens(rng)
    order = np.array([1, 0, 1], np.int32)
    last, seen = visit(blocks, order, tokens, ROLES, N, lambda stream, layer: (stream, layer))
    streams, layers = seen
    assert layers.tolist() == [1, 0, 1] and streams.shape == (3, *tokens.shape)
    for k in range(3):
        before = by_loops(blocks, order[:k], tokens)
        block = jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[order[k]], blocks)
        middle = block.after_attention(jnp.asarray(before), ROLES, N)
        np.testing.assert_allclose(streams[k], middle, rtol=1e-10)
    np.testing.assert_allclose(last, by_loops(blocks, order, tokens), rtol=1e-10)


def test_the_precision_of_the_tokens_is_kept(rng):
    blocks = jax.tree.map(
        lambda leaf: leaf.astype(np.float32) if leaf.dtype == np.float64 else leaf, bank(rng)
    )
    tokens = draw_tokens(rng)
    found = Transformer(blocks, (0, 1))(tokens.astype(np.float32), ROLES, N)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_loops(blocks, (0, 1), tokens), rtol=1e-4, atol=1e-4)


def test_jit_and_vmap_give_the_same(rng):
    model = Transformer(bank(rng), (0, 1, 0))
    tokens = draw_tokens(rng)
    expected = model(tokens, ROLES, N)
    run = jax.jit(lambda t: model(t, ROLES, N))
    np.testing.assert_allclose(run(jnp.asarray(tokens)), expected, rtol=1e-12)
    both = jax.vmap(lambda t: model(t, ROLES, N))(jnp.stack([tokens, 2 * tokens]))
    np.testing.assert_allclose(both[0], expected, rtol=1e-12)
