"""Balls against rational arithmetic, which rounds nothing, and against the floats they enclose."""

import sys
from fractions import Fraction

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop as il
from tests.compiler.cases import apply_mlp, matrix, prompt_of

EXACT = np.vectorize(Fraction, otypes=[object])


def rational_pass(model, prompt):
    """The model's weights, multiplied as fractions; linear heads and ReGLU neurons."""
    x = np.concatenate([prompt.x, prompt.xq])
    y = np.zeros((len(x), prompt.p))
    y[: prompt.n] = prompt.y
    tokens = EXACT(np.concatenate([x, y, np.ones((len(x), 1))], axis=1))
    stream = np.concatenate([tokens @ EXACT(model.embed).T, EXACT(model.registers)])
    roles = np.repeat([0, 1, 2], [prompt.n, prompt.m, len(model.registers)])
    blocks = jax.tree.map(np.asarray, model.transformer.blocks)
    (heads,), mlp = blocks.attention, blocks.mlp
    for layer in model.transformer.order:
        added = 0 * stream
        for h in range(heads.W_Q.shape[1]):
            query, key, value = (
                stream @ EXACT(weights[layer, h]).T for weights in (heads.W_Q, heads.W_K, heads.W_V)
            )
            seen = heads.readers[layer, h][roles][:, None] & heads.sources[layer, h][roles]
            total = ((query @ key.T) * seen.astype(int)) @ value @ EXACT(heads.W_O[layer, h]).T
            added = added + total * Fraction(1, prompt.n if heads.averages[layer, h] else 1)
        stream = stream + added
        gate = np.maximum(stream @ EXACT(mlp.W_gate[layer]).T + EXACT(mlp.b_gate[layer]), 0)
        hidden = gate * (stream @ EXACT(mlp.W_in[layer]).T + EXACT(mlp.b_in[layer]))
        stream = stream + hidden @ EXACT(mlp.W_out[layer]).T + EXACT(mlp.b_out[layer])
    return stream[prompt.n : prompt.n + prompt.m] @ EXACT(model.unembed).T


def line(prompt, steps):
    learner = il.algorithms.gradient_descent(0.2)
    return learner, il.compile(learner, steps=steps, like=prompt)


def network(rng, prompt, steps, loss=il.squared_error):
    layers = [(matrix(rng, 3, 2), 0.1 * rng.normal(size=3)), (matrix(rng, 1, 3), np.zeros(1))]
    learner = il.learner(apply_mlp, layers, optimizer=optax.sgd(0.1), loss=loss)
    return il.compile(learner, steps=steps, like=prompt)


def test_fractions_lie_in_the_balls(rng):
    prompt = prompt_of(rng, n=3, m=2, d=2, p=1)
    model = network(rng, prompt, 1)
    exact, found = rational_pass(model, prompt), il.enclose(model, prompt)
    for place, value in np.ndenumerate(exact):
        low, high = Fraction(found.low[place]), Fraction(found.high[place])
        assert low <= value <= high
        error = abs(Fraction(float(found.predictions[place])) - value)
        assert error <= Fraction(found.rounding[place])
        assert found.rounding[place] <= float(error) + 2 * float(high - low)


def test_a_changed_weight_is_outside(rng):
    """The twin: one weight differs by a hundred roundings."""
    prompt = prompt_of(rng, n=3, m=2, d=2, p=1)
    model = network(rng, prompt, 1)
    found = il.enclose(model, prompt)
    registers = np.array(model.registers)
    registers[np.unravel_index(np.argmax(registers), registers.shape)] *= 1 + 2e-14
    exact = rational_pass(eqx.tree_at(lambda m: m.registers, model, registers), prompt)
    outside = (exact < EXACT(found.low)) | (exact > EXACT(found.high))
    assert outside.any()


@pytest.mark.parametrize(
    "kernel", [None, *map(il.Kernel, ("linear", "relu", "exp", "rbf", "softmax"))], ids=str
)
def test_twelve_steps_are_a_rounding_away(kernel, rng):
    prompt = prompt_of(rng, n=7, m=3)
    if kernel is None:
        learner, steps = il.algorithms.gradient_descent(0.2), 12
    else:
        learner, steps = il.algorithms.functional_gradient_descent(0.1, kernel=kernel), 3
    model = il.compile(learner, steps=steps, like=prompt)
    found = il.enclose(model, prompt)
    assert (found.low <= found.high).all() and (found.high - found.low).max() <= 1e-15
    assert 0 < found.rounding.max() <= 1e-15
    truth = il.run(learner, prompt, steps=steps)[-1]
    np.testing.assert_allclose(truth, found.low, rtol=0, atol=1e-14)
    assert f"{truth.size} predictions within" in str(found)


def test_bits_that_do_not_suffice_give_a_wide_enclosure_not_a_wrong_one(rng):
    """Wiped coordinates keep a radius, and ramps of signs multiply it by 1e6."""
    prompt = prompt_of(rng, n=5, m=2, d=2, p=1)
    model = network(rng, prompt, 5, loss=lambda a, y: jnp.sum(jnp.abs(a - y)))
    wide, narrow = il.enclose(model, prompt, most_bits=128), il.enclose(model, prompt)
    assert (wide.low <= narrow.low).all() and (narrow.high <= wide.high).all()
    assert (narrow.high - narrow.low).max() <= 1e-15 < (wide.high - wide.low).max()


def test_single_precision_has_larger_roundings(rng):
    prompt = prompt_of(rng, n=7, m=3)
    learner = il.algorithms.gradient_descent(0.2)
    found = il.enclose(il.compile(learner, steps=3, like=prompt, dtype="float32"), prompt)
    assert 1e-9 < found.rounding.max() < 1e-5


def test_without_the_extra_it_says_what_to_install(rng, monkeypatch):
    prompt = prompt_of(rng, n=3, m=2, d=2, p=1)
    model = line(prompt, 1)[1]
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(ImportError, match=r"innerloop\[certify\]"):
        il.enclose(model, prompt)


def test_too_few_bits_are_refused(rng):
    prompt = prompt_of(rng, n=3, m=2, d=2, p=1)
    with pytest.raises(ValueError, match="most_bits must be at least 128; got 53"):
        il.enclose(line(prompt, 1)[1], prompt, most_bits=53)
