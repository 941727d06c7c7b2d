"""What von Oswald et al.'s deep layers are compared with, and how models that clip are read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop import tasks, training
from innerloop.algorithms import gd_plus_plus
from innerloop.diagnostics import after
from innerloop.models import SelfAttention
from innerloop.papers.vonoswald2022 import implied as im
from innerloop.papers.vonoswald2022.scalar_descent import ScalarDescent, Starts, tuned
from innerloop.training.program import held_out

TASK = tasks.von_oswald(n=7, d=3)


def logs(*values):
    return jnp.log(jnp.asarray(values))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_with_shared_numbers_it_is_the_algorithm(depth, key):
    prompt = TASK.sample(key=key).prompt
    model = ScalarDescent(logs(4.0), logs(1.5), depth, None)
    expected = after(gd_plus_plus(4.0, 1.5), depth)(prompt)
    np.testing.assert_allclose(model(prompt), expected, rtol=1e-10)


def test_with_numbers_of_their_own_every_layer_takes_its_step(key):
    rates, curvatures = (4.0, 9.0, 20.0), (1.5, 3.0, 2.0)
    prompt = TASK.sample(key=key).prompt
    x, residual, query, answer = prompt.x, prompt.y, prompt.xq, 0.0
    for eta, gamma in zip(rates, curvatures, strict=True):
        second = x.T @ x / prompt.n
        answer = answer + eta * query @ x.T @ residual / prompt.n
        residual = residual - eta * x @ (x.T @ residual) / prompt.n
        x, query = x - gamma * x @ second, query - gamma * query @ second
    found = ScalarDescent(logs(*rates), logs(*curvatures), 3, None)(prompt)
    np.testing.assert_allclose(found, answer, rtol=1e-10)


def test_clipping_bounds_its_predictions(key):
    prompt = TASK.sample(key=key).prompt
    free, bounded = (ScalarDescent(logs(900.0), logs(1.5), 2, clip) for clip in (None, 0.5))
    assert float(jnp.abs(free(prompt)).max()) > 0.5
    assert float(jnp.abs(bounded(prompt)).max()) <= 0.5


def test_tuning_takes_the_best_start_and_lowers_its_loss():
    config = training.TrainingConfig(
        steps=20, batch=16, optimizer=training.Optimizer(3e-2), evaluate_every=20,
        evaluation_prompts=64,
    )  # fmt: skip
    starts = Starts(2, rate=1.0, curvature=0.1)
    held = held_out(TASK, config)

    def loss(model):
        return float(0.5 * jnp.mean((jax.vmap(model)(held.prompt) - held.yq) ** 2))

    seeds = (0, 1, 2)
    found = tuned(starts, TASK, config, seeds=seeds)
    each = training.train(starts, TASK, config, seeds=seeds)
    assert loss(found) == pytest.approx(each.held_out.min(), rel=1e-6)
    assert each.held_out.min() < each.history.held_out[0].min()
    assert len(set(np.round(each.history.held_out[0], 6))) == len(seeds)


def test_models_linear_in_the_query_have_their_implied_weights_as_slopes():
    drawn = im.drawn(TASK, 5, seed=0)
    keys = jax.random.split(jax.random.key(0), 2)
    layers = SelfAttention(depth=2, init_scale=9.0)
    models = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *[layers(d=3, p=1, key=key) for key in keys]
    )
    weights = im.implied(models, drawn)
    assert np.abs(weights).max() > 1e-3
    np.testing.assert_allclose(im.slopes(models, drawn), weights, rtol=1e-8, atol=1e-12)
    answers = im.predicted(models, drawn)
    np.testing.assert_allclose(answers, im.answered(weights, drawn), rtol=1e-8, atol=1e-12)
