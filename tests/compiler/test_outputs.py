"""What the prediction reads stands in coordinates of its own until the end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import innerloop as il


@pytest.mark.parametrize(
    "predict",
    [
        lambda shared, local, x: jax.nn.relu(x[:2]) - jax.nn.relu(-x[1:]),
        lambda shared, local, x: jax.nn.relu(2 * x[:2]) - jax.nn.relu(-2 * x[:2][::-1]),
        lambda shared, local, x: jax.nn.relu(x[:2]) - 2 * jax.nn.relu(x[1:]) + x[:2] * x[1:],
    ],
)
@pytest.mark.parametrize("steps", [0, 2])
def test_a_prediction_of_several_results_of_the_last_layer(predict, steps, rng):
    prompt = il.Prompt(rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), rng.normal(size=(7, 3)))
    learner = il.Learner(
        lambda x, y: ((), ()), lambda shared, local, x, y: (shared, local), predict
    )
    truth = il.run(learner, prompt, steps=steps)[-1]
    model = il.compile(learner, steps=steps, like=prompt)
    np.testing.assert_allclose(model(prompt), truth, atol=1e-12)
    assert np.abs(truth).max() > 0.5


def test_a_prediction_that_follows_the_count_of_steps(rng):
    """`model.iterates` reads what `predict` says after each step, not after the last."""

    def step(shared, local, x, y):
        count, weights = shared
        change = jax.lax.pmean(jnp.outer(weights @ x - y, x), il.CONTEXT)
        return (count + 1.0, weights - 0.1 * change), local

    learner = il.Learner(
        lambda x, y: ((jnp.zeros(()), jnp.zeros((2, 3))), ()),
        step,
        lambda shared, local, x: shared[1] @ x / (1.0 + shared[0]),
    )
    prompt = il.Prompt(rng.normal(size=(7, 3)), rng.normal(size=(7, 2)), rng.normal(size=(5, 3)))
    for steps in (0, 1, 5):
        model = il.compile(learner, steps=steps, like=prompt)
        expected = il.run(learner, prompt, steps=steps)
        np.testing.assert_allclose(model.iterates(prompt), expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(model(prompt), expected[-1], rtol=1e-10, atol=1e-12)
