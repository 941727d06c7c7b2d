"""Layers against steps: compiled models and weights by hand, whose iterates are known exactly."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import innerloop as il
from innerloop import algorithms
from innerloop.diagnostics import iterates, match_layers, readouts
from innerloop.models import SelfAttention

D, P, N, M, B, STEPS = 3, 2, 13, 5, 11, 4
KEY = jax.random.key(0)


def draw(rng):
    x, xq = rng.normal(size=(N, D)), rng.normal(size=(M, D))
    w = rng.normal(size=(D, P))
    return il.Prompt(x, x @ w + 0.3 * rng.normal(size=(N, P)), xq), xq @ w


@pytest.fixture
def drawn(rng):
    prompts, answers = zip(*[draw(rng) for _ in range(B)], strict=True)
    return prompts, np.stack(answers)


@pytest.mark.parametrize(
    "learner",
    [algorithms.gradient_descent(0.2), algorithms.newton_schulz(0.1)],
    ids=["gradient descent", "Newton"],
)
def test_a_compiled_model_is_at_its_algorithms_iterate_after_every_step(learner, drawn):
    prompts, answers = drawn
    model = il.compile(learner, steps=STEPS, like=prompts[0])
    steps = iterates(learner, STEPS)
    found = match_layers(model.iterates, steps, prompts, key=KEY, answers=answers)
    assert np.diagonal(found.differences).max() < 1e-10
    assert np.abs(np.diagonal(found.similarities) - 1).max() < 1e-10
    np.testing.assert_array_equal(found.nearest, np.arange(STEPS + 1))
    np.testing.assert_array_equal(found.support, np.ones(STEPS + 1))
    off = found.differences[~np.eye(STEPS + 1, dtype=bool)]
    assert off.min() > 1e-3


def test_a_model_with_another_step_size_is_at_no_iterate(drawn):
    """The deliberate fault: nearest steps exist, the differences tell."""
    prompts, _ = drawn
    model = il.compile(algorithms.gradient_descent(0.15), steps=STEPS, like=prompts[0])
    steps = iterates(algorithms.gradient_descent(0.2), STEPS)
    found = match_layers(model.iterates, steps, prompts, key=KEY)
    assert found.differences[1:].min() > 0.01
    assert found.similarities is None


def by_hand(rate, faulty_layer=None):
    """A tied or untied stack of gradient steps; in a faulty layer the step has another sign."""
    model = SelfAttention(depth=STEPS, averages=True)(d=D, p=P, key=KEY)
    x, y = np.diag([1.0] * D + [0.0] * P), np.diag([0.0] * D + [1.0] * P)
    signs = np.ones((STEPS, 1, 1, 1))
    if faulty_layer is not None:
        signs[faulty_layer] = -1
    heads = [np.tile(w, (STEPS, 1, 1, 1)) for w in (x, x, -y, rate * y)]
    heads[-1] = signs * heads[-1]
    names = ("W_Q", "W_K", "W_V", "W_O")
    return eqx.tree_at(
        lambda m: [getattr(m.stages[0].blocks.attention[0], name) for name in names],
        model,
        [jnp.asarray(w) for w in heads],
    )


def test_predictions_read_after_each_layer_are_the_iterates(drawn):
    prompts, answers = drawn
    model, steps = by_hand(0.2), iterates(algorithms.gradient_descent(0.2), STEPS)
    read = readouts(model)
    np.testing.assert_allclose(read(prompts[0])[-1], model(prompts[0]), rtol=0, atol=1e-12)
    found = match_layers(read, steps, prompts, key=KEY, answers=answers)
    assert np.diagonal(found.differences).max() < 1e-10
    np.testing.assert_array_equal(found.nearest, np.arange(STEPS + 1))


def test_layers_after_a_faulty_one_match_no_step(drawn):
    prompts, _ = drawn
    steps = iterates(algorithms.gradient_descent(0.2), STEPS)
    found = match_layers(readouts(by_hand(0.2, faulty_layer=2)), steps, prompts, key=KEY)
    assert np.diagonal(found.differences)[:3].max() < 1e-10
    assert np.diagonal(found.differences)[3:].min() > 0.01


def test_the_numbers_by_hand(drawn):
    prompts, answers = drawn
    f, g = (iterates(algorithms.gradient_descent(eta), 2) for eta in (0.1, 0.3))
    found = match_layers(f, g, prompts, key=KEY, answers=answers)
    said = [np.stack([np.asarray(each(p)) for p in prompts]) for each in (f, g)]
    one, two = said[0][:, 1], said[1][:, 2]
    expected = np.mean((one - two) ** 2) / max(np.mean(one**2), np.mean(two**2))
    assert abs(found.differences[1, 2] - expected**0.5) < 1e-12
    errors = [(each - answers).reshape(B, -1) for each in (one, two)]
    cosines = np.sum(errors[0] * errors[1], 1) / np.prod(np.linalg.norm(errors, axis=2), axis=0)
    assert abs(found.similarities[1, 2] - cosines.mean()) < 1e-12
    assert found.differences[0, 0] == 0
    np.testing.assert_array_equal(found.differences[0, 1:], 1.0)


def test_support_falls_where_prompts_disagree():
    """Half of the prompts are at one step, half near another: resamples do not agree."""
    prompts = [il.Prompt([[1.0]], [[y]], [[1.0]]) for y in (1.0, -1.0) * 10]

    def layers(prompt):
        return jnp.where(jnp.asarray(prompt.y) > 0, 1.0, -1.73)[None] * jnp.ones((1, 1, 1))

    def steps(prompt):
        return jnp.stack([jnp.sign(jnp.asarray(prompt.y)), 2 * jnp.sign(jnp.asarray(prompt.y))])

    found = match_layers(layers, steps, prompts, key=KEY)
    assert 0.2 < found.support[0] < 0.8
