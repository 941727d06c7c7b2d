"""Compiled models that no compiler made: random weights with a random pattern of zeros.

Nothing in them is a wipe, a name or a copy by intention; some of it is by chance.
"""

import equinox as eqx
import jax
import numpy as np

KERNELS = ("linear", "relu", "exp", "rbf", "softmax")


def sparse(rng, shape, density):
    """Random entries, of which a share is not zero."""
    kept = rng.random(shape) < density
    return np.where(kept, rng.normal(size=shape), 0.0) / np.sqrt(1.0 + density * shape[-1])


def mirrored(rng, mlp):
    """The second half of the neurons mirrors the first, as halves of products and of lines do.

    Of the four ways to turn two signs, two make a pair that needs no rectifying; two do not.
    """
    half = mlp.b_in.shape[-1] // 2
    signs = rng.choice([-1.0, 1.0], size=(2, *mlp.b_in[:, :half].shape))

    def turned(leaf, sign):
        twin = leaf[:, :half] * (sign if leaf.ndim == 2 else sign[..., None])
        return np.concatenate([leaf[:, :half], twin, leaf[:, 2 * half :]], axis=1)

    out = np.swapaxes(turned(np.swapaxes(mlp.W_out, 1, 2), signs[1]), 1, 2)
    minus = -np.ones_like(signs[0])
    return type(mlp)(
        turned(mlp.W_in, signs[0]),
        turned(mlp.b_in, signs[0]),
        out,
        mlp.b_out,
        turned(mlp.W_gate, minus),
        turned(mlp.b_gate, minus),
        activation="reglu",
    )


def read_by(rng, shape, *, sink):
    """Random sources: never queries, and the sink always where there is one."""
    drawn = (rng.random(shape) < 0.6) & np.array([True, False, True, False])
    return drawn | (sink & np.array([False, False, False, True]))


def scrambled(model, rng, *, density=0.3, scale=0.3):
    """A model of the same shapes in which every weight of every layer is drawn anew."""

    def redraw(leaf):
        return scale * sparse(rng, leaf.shape, density).astype(leaf.dtype)

    def full(leaf):
        return rng.normal(size=leaf.shape).astype(leaf.dtype)

    blocks = model.transformer.blocks
    attention = tuple(
        eqx.tree_at(
            lambda a: (a.W_Q, a.W_K, a.W_V, a.W_O, a.averages, a.readers, a.sources),
            heads,
            (
                *(redraw(w) for w in (heads.W_Q, heads.W_K, heads.W_V, heads.W_O)),
                rng.random(heads.averages.shape) < 0.5,
                rng.random(heads.readers.shape) < 0.6,
                read_by(rng, heads.sources.shape, sink=model.sink is not None),
            ),
        )
        for heads in blocks.attention
    )
    mlp = mirrored(rng, jax.tree.map(redraw, blocks.mlp))
    if model.sink is not None:
        model = eqx.tree_at(lambda m: m.sink, model, redraw(model.sink))
    return eqx.tree_at(
        lambda m: (
            m.transformer.blocks.attention,
            m.transformer.blocks.mlp,
            m.embed,
            m.registers,
            m.unembed,
        ),
        model,
        (attention, mlp, full(model.embed), redraw(model.registers), full(model.unembed)),
    )


def perturbed(model, rng, *, entries=5, scale=0.1):
    """A model in which a few weights of every matrix are changed, zeros included."""

    def change(leaf):
        leaf = np.array(leaf)
        if not leaf.size:
            return leaf
        places = rng.integers(0, leaf.size, entries)
        leaf.ravel()[places] += scale * rng.normal(size=entries)
        return leaf

    arrays, rest = eqx.partition(model, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(change, arrays), rest)
