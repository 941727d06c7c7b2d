"""The dual form: fewer layers, the same predictions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop as il
from tests.compiler.cases import (
    NETWORKS,
    OPTIMIZERS,
    RATE,
    apply_mlp,
    assert_same,
    assert_seen,
    learner_of,
    prompt_of,
    trained,
)
from tests.oracles import mlp

FIXED_RATE = [name for name in OPTIMIZERS if name not in ("schedule", "sign")]


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("optimizer", FIXED_RATE)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_network_saves_two_layers_a_step(layers, optimizer, steps):
    """Its first layer is carried, and copies of the others make the forward pass neurons' work."""
    learner, prompt, expected, _ = trained(f"mlp-{layers}", optimizer, steps, 7)
    model = il.compile(learner, steps=steps, like=prompt, optimize="depth")
    sections = model.sections
    assert sections.step == max(1, 2 * layers - 2)
    assert sections.init + sections.read_out == layers - 1
    assert_same(model.iterates(prompt), expected)
    if steps == 2:
        assert_same(model.iterates(prompt, dense=True), expected)


@pytest.mark.parametrize("attention", ["relu", "softmax"])
def test_other_kinds_of_attention_take_the_same_layers(attention):
    learner, prompt, expected, _ = trained("mlp-1", "momentum", 5, 7)
    model = il.compile(learner, steps=5, like=prompt, optimize="depth", attention=attention)
    assert model.depth == 5
    assert_same(model.iterates(prompt), expected, 1e-10 if attention == "relu" else 1e-4)


EVERY = [(network, optimizer) for network in NETWORKS for optimizer in OPTIMIZERS]
SOME = EVERY[:: len(OPTIMIZERS) + 1]
"""Each network, and each rule at least once; the slow tier has every pair."""


@pytest.mark.parametrize(
    ("network", "optimizer"),
    [pytest.param(*pair, marks=() if pair in SOME else pytest.mark.slow) for pair in EVERY],
)
def test_what_has_no_dual_form_stays_as_it_is(network, optimizer):
    """Never deeper, always the same; a rate that changes needs the matrix itself."""
    rng = np.random.default_rng(5)
    learner, _ = learner_of(network, optimizer, rng)
    prompt = prompt_of(rng)
    plain, dual = (
        il.compile(learner, steps=2, like=prompt, optimize=optimize) for optimize in (None, "depth")
    )
    assert dual.depth <= plain.depth
    if optimizer in ("schedule", "sign"):
        assert dual.sections == plain.sections
        np.testing.assert_array_equal(dual.iterates(prompt), plain.iterates(prompt))
    else:
        assert_same(dual.iterates(prompt), il.run(learner, prompt, steps=2))


def test_weights_that_do_not_start_at_zero_are_embedded(rng):
    start = rng.normal(size=(2, 3))
    learner = il.learner(lambda w, x: w @ x, start, optimizer=optax.sgd(RATE))
    prompt = prompt_of(rng)
    model = il.compile(learner, steps=1, like=prompt, optimize="depth")
    np.testing.assert_allclose(model.iterates(prompt)[0], prompt.xq @ start.T, rtol=1e-12)
    assert "w read" in str(model.anatomy()) or model.depth == 1


def test_a_matrix_read_two_ways_is_carried_twice(rng):
    """`W x` and `W` on the reversed input are two readings of one matrix."""

    def apply(w, x):
        return w @ x + 0.5 * (w @ x[::-1])

    learner = il.learner(apply, rng.normal(size=(2, 3)), optimizer=optax.sgd(RATE, momentum=0.5))
    prompt = prompt_of(rng)
    model = il.compile(learner, steps=5, like=prompt, optimize="depth")
    assert model.sections.step == 1
    assert_same(model.iterates(prompt), il.run(learner, prompt, steps=5))


def test_a_matrix_that_something_else_reads_is_kept(rng):
    """A penalty on `W h(x)` with a hidden `h` that changes, or on `W` itself, needs the matrix."""

    def apply(params, x):
        hidden = jax.nn.relu(params["in"] @ x)
        return params["out"] @ hidden + params["out"] @ jnp.ones(5)

    params = {"in": rng.normal(size=(5, 3)), "out": rng.normal(size=(2, 5))}
    learner = il.learner(apply, params, optimizer=optax.sgd(RATE))
    prompt = prompt_of(rng)
    model = il.compile(learner, steps=2, like=prompt, optimize="depth")
    assert any("params.out" in name for name in model.residual_stream)
    assert_same(model.iterates(prompt), il.run(learner, prompt, steps=2))


def test_a_step_size_that_is_wrong_by_a_sign_is_seen(rng):
    layers = mlp.draw(rng, (3, 2))
    prompt = prompt_of(rng)
    right, wrong = (
        il.learner(apply_mlp, layers, optimizer=optax.sgd(rate)) for rate in (RATE, -RATE)
    )
    model = il.compile(wrong, steps=2, like=prompt, optimize="depth")
    assert_seen(model.iterates(prompt), il.run(right, prompt, steps=2))


def test_one_target_is_named_by_the_error(rng):
    learner = il.learner(lambda w, x: w @ x, np.zeros((2, 3)), optimizer=optax.sgd(RATE))
    with pytest.raises(Exception, match="optimize"):
        il.compile(learner, steps=1, like=prompt_of(rng), optimize="speed")
