"""The same learner in other kinds of attention and neurons: exact, or within the stated error."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop as il
from tests.compiler.cases import (
    NETWORKS,
    OPTIMIZERS,
    apply_mlp,
    assert_same,
    assert_seen,
    learner_of,
    prompt_of,
    trained,
)
from tests.oracles import mlp
from tests.registries import ALGORITHMS

PAIRS = [(network, list(OPTIMIZERS)[i % 6]) for i, network in enumerate(NETWORKS)]


@pytest.mark.parametrize(("network", "optimizer"), PAIRS)
def test_relu_attention_is_exact(network, optimizer):
    learner, prompt, expected, layers = trained(network, optimizer, 5, 7)
    model = il.compile(learner, steps=5, like=prompt, attention="relu")
    (heads,) = (a for a in model.transformer.blocks.attention if np.any(a.readers))
    assert heads.kernel.name == "relu"
    assert model.depth == 2 * layers * 5 + layers
    assert_same(model.iterates(prompt), expected)


@pytest.mark.parametrize(("network", "optimizer"), PAIRS[1:])
def test_gates_of_plain_relu_neurons_are_exact(network, optimizer):
    learner, prompt, expected, _ = trained(network, optimizer, 5, 64)
    model = il.compile(learner, steps=5, like=prompt, mlp="relu")
    neurons = model.transformer.blocks.mlp
    assert neurons.activation == "relu" and neurons.W_gate is None
    if optimizer != "schedule":
        assert model.certificate.exact
        assert_same(model.iterates(prompt), expected)
    else:
        assert_same(model.iterates(prompt), expected, 1e-5)


@pytest.mark.parametrize("attention", ["linear", "softmax"])
def test_an_unrolled_model_has_a_block_for_every_layer(attention):
    learner, prompt, _, _ = trained("mlp-2", "momentum", 5, 7)
    looped, unrolled = (
        il.compile(learner, steps=5, like=prompt, attention=attention, tie=tie)
        for tie in ("looped", "unrolled")
    )
    assert unrolled.transformer.order == tuple(range(looped.depth))
    assert len(unrolled.transformer.blocks.mlp.b_out) == looped.depth
    # A pair of softmax heads subtracts numbers about 1/beta times as large as what is left.
    room = 1e-15 if attention == "linear" else 1e-12
    np.testing.assert_allclose(unrolled(prompt), looped(prompt), rtol=1e-13, atol=room)


@pytest.mark.parametrize(("network", "optimizer"), PAIRS)
def test_the_everyday_transformer_runs_every_learner(network, optimizer):
    """Softmax and ReLU, five steps: errors below a hundred times that of a score."""
    learner, prompt, expected, layers = trained(network, optimizer, 5, 64)
    model = il.compile(learner, steps=5, like=prompt, attention="softmax", mlp="relu")
    assert all(a.kernel.name == "softmax" for a in _attending(model))
    assert not any(np.any(a.averages) for a in _attending(model))
    assert model.depth == 2 * layers * 5 + layers
    if optimizer != "sign":
        assert_same(model.iterates(prompt), expected, 100 * model.certificate.scores.error)


def _attending(model):
    return [a for a in model.transformer.blocks.attention if np.any(a.readers)]


@cache
def three_layers():
    """The learner that the error law is shown on."""
    rng = np.random.default_rng(5)
    learner = il.learner(apply_mlp, mlp.draw(rng, (3, 5, 7, 2)), optimizer=optax.sgd(0.1))
    prompt = prompt_of(rng, n=31)
    return learner, prompt, il.run(learner, prompt, steps=4)


@pytest.mark.parametrize(("order", "betas"), [(2, (1e-3, 1e-2, 1e-1)), (4, (0.03, 0.1, 0.3))])
def test_the_error_falls_with_the_stated_power_of_beta(order, betas):
    learner, prompt, expected = three_layers()
    errors, stated = [], []
    for beta in betas:
        softmax = il.Softmax(beta=beta, order=order)
        model = il.compile(learner, steps=4, like=prompt, attention=softmax)
        errors.append(np.abs(model(prompt) - expected[-1]).max())
        stated.append(model.certificate.scores.error)
    slopes = np.diff(np.log(errors)) / np.diff(np.log(betas))
    np.testing.assert_allclose(slopes, order, atol=0.05)
    assert np.all(np.array(errors) < 20 * np.array(stated))


@pytest.mark.parametrize("order", [2, 4])
def test_a_small_tolerance_is_met_as_far_as_the_precision_goes(order):
    learner, prompt, expected = three_layers()
    model = il.compile(
        learner, steps=4, like=prompt, attention=il.Softmax(order=order), tolerance=1e-12
    )
    assert np.abs(model.iterates(prompt) - expected).max() < (1e-8 if order == 2 else 2e-10)


def test_float32_softmax():
    learner, prompt, expected = three_layers()
    model = il.compile(learner, steps=4, like=prompt, attention="softmax", dtype="float32")
    found = model.iterates(prompt)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 20 * model.certificate.scores.error < 1e-1


@pytest.mark.parametrize("attention", ["relu", "softmax"])
def test_weights_do_not_depend_on_the_number_of_examples(attention):
    learner, prompt, _ = three_layers()
    model = il.compile(learner, steps=2, like=prompt, attention=attention)
    rng = np.random.default_rng(7)
    for n, m in ((1, 1), (7, 3), (211, 2)):
        other = prompt_of(rng, n=n, m=m)
        assert_same(model.iterates(other), il.run(learner, other, steps=2), 1e-5)


def test_the_mean_over_the_context_is_made_by_the_sink():
    """A sink that does not know how many examples there are sums in place of averaging."""
    learner, prompt, expected = three_layers()
    model = il.compile(learner, steps=4, like=prompt, attention="softmax")
    assert_same(model.iterates(prompt), expected, 1e-4)
    deaf = eqx.tree_at(lambda m: m.sink, model, model.sink * np.array([[1.0], [0.0]]))
    assert_seen(deaf.iterates(prompt), expected)


def test_a_head_without_its_twin_is_seen():
    learner, prompt, expected = three_layers()
    for attention in ("relu", "softmax"):
        model = il.compile(learner, steps=4, like=prompt, attention=attention)

        def where(m):
            return m.transformer.blocks.attention[-1].W_O

        halved = where(model).copy()
        halved[0, 0] = 0.0
        faulty = eqx.tree_at(where, model, halved)
        assert_seen(faulty.iterates(prompt, dense=True), expected)


def test_a_closed_gate_that_leaks_is_seen():
    """What must not pass a gate is pushed far below zero; pushed less, some of it passes."""
    learner, prompt, expected, _ = trained("mlp-3", "sgd", 5, 7)
    model = il.compile(learner, steps=5, like=prompt, mlp="relu")
    weights = model.transformer.blocks.mlp.W_in
    large = np.abs(weights) > 1e2
    faulty = eqx.tree_at(
        lambda m: m.transformer.blocks.mlp.W_in, model, np.where(large, 0.0, weights)
    )
    assert_seen(faulty.iterates(prompt, dense=True), expected)


def smooth(rng):
    """A network of tanh units, whose backward pass multiplies."""

    def apply(layers, x):
        return apply_mlp(layers, x, activation=jnp.tanh)

    return il.learner(apply, mlp.draw(rng, (3, 5, 2)), optimizer=optax.sgd(0.1))


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5])
def test_products_of_hinges_keep_their_tolerance(tolerance, rng):
    learner, prompt = smooth(rng), prompt_of(rng, n=31)
    model = il.compile(learner, steps=3, like=prompt, mlp="relu", tolerance=tolerance)
    kinds = {a.function for a in model.certificate.approximations}
    assert "product" in kinds
    expected = il.run(learner, prompt, steps=3)
    error = np.abs(model.iterates(prompt) - expected).max()
    assert 1e-4 * tolerance < error < 3 * tolerance
    assert model.check(prompt).ok


def test_a_product_beyond_its_range_is_reported(rng):
    learner, prompt = smooth(rng), prompt_of(rng, n=31)
    model = il.compile(learner, steps=1, like=prompt, mlp="relu", tolerance=1e-3)
    wild = il.Prompt(prompt.x, 50.0 * prompt.y, prompt.xq)
    assert model.check(wild).outside > 0
    with pytest.warns(il.RunWarning, match="outside the certified domain"):
        model(wild)


REFUSED = {
    ("softmax", "functional_gradient_descent_relu"): "attend with the relu kernel",
    ("relu", "functional_gradient_descent_exp"): "attend with the exp kernel",
    ("relu", "functional_gradient_descent_rbf"): "attend with the rbf kernel",
    ("relu", "functional_gradient_descent_softmax"): "attend with the softmax kernel",
    ("relu", "kernel_ridge"): "attend with the rbf kernel",
    ("relu", "nadaraya_watson"): "attend with the softmax kernel",
}


@pytest.mark.parametrize(("name", "factory", "family"), ALGORITHMS, ids=[a[0] for a in ALGORITHMS])
@pytest.mark.parametrize(
    ("attention", "neurons"),
    [pytest.param("relu", "reglu", marks=pytest.mark.slow), ("softmax", "relu")],
)
def test_algorithms(attention, neurons, name, factory, family, rng):
    learner, prompt = factory(), family(rng)
    expected = il.run(learner, prompt, steps=2)

    def compiled():
        return il.compile(
            learner, steps=2, like=prompt, attention=attention, mlp=neurons, tolerance=1e-5
        )

    if (attention, name) in REFUSED:
        with pytest.raises(il.CompileError) as refused:
            compiled()
        assert REFUSED[attention, name] in str(refused.value)
        return
    model = compiled()
    bound = 1e-3
    found = model.iterates(prompt)
    bound = 1e-10 if model.certificate.exact else bound
    assert np.abs(found - expected).max() / np.abs(expected).max() < bound


def test_softmax_models_on_disk(tmp_path):
    learner, prompt, _ = three_layers()
    model = il.compile(learner, steps=2, like=prompt, attention="softmax", mlp="relu")
    il.save(model, tmp_path / "model")
    again = il.load(tmp_path / "model")
    np.testing.assert_array_equal(again(prompt), model(prompt))
    assert again.certificate == model.certificate


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 0.0}, "beta must be positive"),
        ({"sink": -1.0}, "sink must be positive"),
        ({"order": 3}, "order"),
    ],
)
def test_softmax_out_of_range(options, message):
    with jax.enable_x64(False), pytest.raises(Exception, match=message):
        il.Softmax(**options)


def test_a_learner_of_a_fixed_registry_is_still_exact_by_default():
    learner, layers = learner_of("mlp-2", "sgd", np.random.default_rng(3))
    prompt = prompt_of(np.random.default_rng(3))
    model = il.compile(learner, steps=1, like=prompt)
    assert model.certificate.exact and model.sink is None and model.depth == 3 * layers
