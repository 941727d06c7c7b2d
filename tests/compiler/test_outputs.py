"""What the prediction reads stands in coordinates of its own until the end."""

import jax
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
