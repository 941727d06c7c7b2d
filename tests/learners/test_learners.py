"""What a learner is, and what running one means: state, reductions, pytrees of parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop as il


@pytest.fixture
def prompt(rng):
    x, y, xq = (rng.normal(size=shape) for shape in [(7, 3), (7, 2), (11, 3)])
    return il.Prompt(x, y, xq)


def counting():
    """Shared: steps, and as many means of x. Local: steps times the token's first covariate."""

    def init(x, y):
        return {"steps": jnp.zeros((), x.dtype), "mean": jnp.zeros_like(x)}, jnp.zeros_like(x[:1])

    def step(shared, local, x, y):
        mean = shared["mean"] + jax.lax.pmean(x, il.CONTEXT)
        return {"steps": shared["steps"] + 1, "mean": mean}, local + x[:1]

    def predict(shared, local, x):
        return jnp.concatenate([shared["steps"][None], shared["mean"], local, x])

    return il.Learner(init, step, predict)


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_state_before_and_after_every_step(steps, prompt):
    found = il.run(counting(), prompt, steps=steps)
    assert found.shape == (steps + 1, 11, 8)
    for k in range(steps + 1):
        np.testing.assert_array_equal(found[k, :, 0], k)
        expected = np.tile(k * prompt.x.mean(axis=0), (11, 1))
        np.testing.assert_allclose(found[k, :, 1:4], expected, rtol=1e-12)
        np.testing.assert_allclose(found[k, :, 4], k * prompt.xq[:, 0], rtol=1e-12)
        np.testing.assert_array_equal(found[k, :, 5:], prompt.xq)


def test_the_first_state_may_be_a_reduction(prompt):
    """Centring before the first step: `init` reads the context, `predict` does too."""
    learner = il.Learner(
        lambda x, y: (jax.lax.pmean(x, il.CONTEXT), ()),
        lambda shared, local, x, y: (shared, local),
        lambda shared, local, x: x - shared + jax.lax.psum(x, il.CONTEXT),
    )
    found = il.run(learner, prompt, steps=0)[0]
    expected = prompt.xq - prompt.x.mean(axis=0) + prompt.x.sum(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_a_querys_target_is_zero_in_the_step(prompt):
    learner = il.Learner(
        lambda x, y: ((), y + 1),
        lambda shared, local, x, y: (shared, 10 * y + 3),
        lambda shared, local, x: local,
    )
    found = il.run(learner, prompt, steps=1)
    np.testing.assert_array_equal(found, np.stack([np.ones((11, 2)), np.full((11, 2), 3.0)]))


def test_a_prompt_without_queries_has_no_predictions(prompt):
    empty = il.Prompt(prompt.x, prompt.y, prompt.xq[:0])
    assert il.run(counting(), empty, steps=2).shape == (3, 0, 8)


def test_parameters_are_any_pytree_of_rank_0_to_2(prompt, rng):
    """Scalar, vector and matrix leaves, named; against one step by hand."""
    params = {"scale": np.array(0.5), "layer": (rng.normal(size=(2, 3)), rng.normal(size=2))}

    def apply(params, x):
        weights, bias = params["layer"]
        return params["scale"] * (weights @ x + bias)

    found = il.run(il.learner(apply, params, optimizer=optax.sgd(0.1)), prompt, steps=1)
    (weights, bias), scale = params["layer"], params["scale"]
    z = prompt.x @ weights.T + bias
    error = (scale * z - prompt.y) / prompt.n
    weights, bias, scale = (
        weights - 0.1 * scale * error.T @ prompt.x,
        bias - 0.1 * scale * error.sum(axis=0),
        scale - 0.1 * (error * z).sum(),
    )
    np.testing.assert_allclose(found[1], scale * (prompt.xq @ weights.T + bias), rtol=1e-10)


@pytest.mark.parametrize("count", [1, 3])
def test_a_rate_that_depends_on_the_step(count, prompt):
    """The optimiser's own step counter is shared state of whole numbers."""
    rates = optax.piecewise_constant_schedule(0.1, {count: 0.5})
    learner = il.learner(lambda w, x: w @ x, np.zeros((2, 3)), optimizer=optax.sgd(rates))
    w = np.zeros((2, 3))
    found = il.run(learner, prompt, steps=5)
    for k in range(5):
        np.testing.assert_allclose(found[k], prompt.xq @ w.T, rtol=1e-10, atol=1e-14)
        rate = 0.1 if k < count else 0.05
        w = w - rate * (prompt.x @ w.T - prompt.y).T @ prompt.x / prompt.n
    np.testing.assert_allclose(found[5], prompt.xq @ w.T, rtol=1e-10)


def test_squared_error_is_half_the_sum():
    prediction, y = jnp.array([3.0, -1.0]), jnp.array([1.0, 2.0])
    assert float(il.squared_error(prediction, y)) == 6.5
    np.testing.assert_array_equal(jax.grad(il.squared_error)(prediction, y), prediction - y)
