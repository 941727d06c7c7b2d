"""Training a network by `il.run` is training it by hand: numpy, with derivatives written out."""

import jax
import numpy as np
import optax
import pytest

import innerloop as il
from innerloop import learners
from tests.oracles import mlp

SIZES = {
    1: (3, 2),
    2: (3, 5, 2),
    3: (3, 5, 7, 2),
    4: (3, 5, 7, 5, 2),
    6: (3, 5, 7, 5, 7, 5, 2),
}
RATE = 0.03
OPTIMIZERS = {
    "sgd": (optax.sgd(RATE), {}),
    "momentum": (optax.sgd(RATE, momentum=0.9), {"momentum": 0.9}),
    "nesterov": (
        optax.sgd(RATE, momentum=0.9, nesterov=True),
        {"momentum": 0.9, "nesterov": True},
    ),
    "weight_decay": (
        optax.chain(optax.add_decayed_weights(0.1), optax.sgd(RATE)),
        {"weight_decay": 0.1},
    ),
}


def apply(layers, x):
    for weights, bias in layers[:-1]:
        x = jax.nn.relu(weights @ x + bias)
    weights, bias = layers[-1]
    return weights @ x + bias


def prompt_of(rng):
    x, y, xq = (rng.normal(size=shape) for shape in [(13, 3), (13, 2), (11, 3)])
    return il.Prompt(x, y, xq)


def by_hand(layers, prompt, steps, **settings):
    x, y, xq = prompt.x, prompt.y, prompt.xq
    return mlp.train(layers, x, y, xq, steps=steps, learning_rate=RATE, **settings)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("depth", SIZES)
def test_run_is_the_loop_written_by_hand(depth, optimizer, rng):
    """All 50 iterates at every query, so 1, 2 and 5 steps are among them."""
    layers, prompt = mlp.draw(rng, SIZES[depth]), prompt_of(rng)
    rule, settings = OPTIMIZERS[optimizer]
    expected = by_hand(layers, prompt, 50, **settings)
    found = il.run(il.learner(apply, layers, optimizer=rule), prompt, steps=50)
    assert found.shape == (51, 11, 2)
    assert np.abs(expected[50] - expected[0]).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_few_steps_are_the_beginning_of_many(steps, rng):
    layers, prompt = mlp.draw(rng, SIZES[3]), prompt_of(rng)
    rule, settings = OPTIMIZERS["nesterov"]
    found = il.run(il.learner(apply, layers, optimizer=rule), prompt, steps=steps)
    assert found.shape == (steps + 1, 11, 2)
    np.testing.assert_allclose(found, by_hand(layers, prompt, steps, **settings), rtol=1e-10)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_query_counted_in_the_mean_is_seen(steps, rng, monkeypatch):
    """The deliberate fault of the tests above: one query is taken for a context example."""
    honest = learners.data_tokens

    def with_a_spy(prompt):
        x, y, is_context = honest(prompt)
        return x, y, is_context | (np.arange(len(is_context)) == prompt.n)

    monkeypatch.setattr(learners, "data_tokens", with_a_spy)
    layers, prompt = mlp.draw(rng, SIZES[3]), prompt_of(rng)
    rule, settings = OPTIMIZERS["sgd"]
    found = il.run(il.learner(apply, layers, optimizer=rule), prompt, steps=steps)
    assert not np.allclose(found, by_hand(layers, prompt, steps, **settings), rtol=1e-4)


@pytest.mark.parametrize("fault", [{"momentum": 0.8}, {"momentum": 0.9}, {"weight_decay": 1e-3}])
def test_a_wrong_rule_is_seen(fault, rng):
    """Nesterov against a wrong momentum, against plain momentum, and against weight decay."""
    layers, prompt = mlp.draw(rng, SIZES[2]), prompt_of(rng)
    rule, settings = OPTIMIZERS["nesterov"]
    found = il.run(il.learner(apply, layers, optimizer=rule), prompt, steps=2)
    wrong = by_hand(
        layers, prompt, 2, **{**settings, "nesterov": fault != {"momentum": 0.9}, **fault}
    )
    assert not np.allclose(found, wrong, rtol=1e-6)


@pytest.mark.parametrize("n", [1, 17])
def test_any_number_of_examples(n, rng):
    layers = mlp.draw(rng, SIZES[2])
    prompt = il.Prompt(rng.normal(size=(n, 3)), rng.normal(size=(n, 2)), rng.normal(size=(1, 3)))
    rule, settings = OPTIMIZERS["momentum"]
    found = il.run(il.learner(apply, layers, optimizer=rule), prompt, steps=5)
    np.testing.assert_allclose(found, by_hand(layers, prompt, 5, **settings), rtol=1e-10)


def test_the_default_loss_is_half_the_squared_error_summed_over_targets(rng):
    """A factor of two in the loss is a factor of two in the rate, and is seen."""
    layers, prompt = mlp.draw(rng, SIZES[2]), prompt_of(rng)
    rule, _ = OPTIMIZERS["sgd"]
    doubled = il.learner(
        apply, layers, optimizer=rule, loss=lambda prediction, y: ((prediction - y) ** 2).sum()
    )
    expected = mlp.train(layers, prompt.x, prompt.y, prompt.xq, steps=5, learning_rate=2 * RATE)
    np.testing.assert_allclose(il.run(doubled, prompt, steps=5), expected, rtol=1e-10)
    assert not np.allclose(expected, by_hand(layers, prompt, 5), rtol=1e-3)


def test_float32_stays_float32_and_follows_to_its_precision(rng):
    layers, prompt = mlp.draw(rng, SIZES[3]), prompt_of(rng)
    rule, settings = OPTIMIZERS["momentum"]
    narrow = il.Prompt(*(a.astype(np.float32) for a in (prompt.x, prompt.y, prompt.xq)))
    found = il.run(il.learner(apply, layers, optimizer=rule), narrow, steps=5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(layers, prompt, 5, **settings), atol=1e-5)
