"""What von Oswald et al.'s deep layers are compared with, and how models that clip are read."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop import tasks
from innerloop.algorithms import gd_plus_plus
from innerloop.diagnostics import after
from innerloop.models import SelfAttention
from innerloop.papers.vonoswald2022 import implied as im
from innerloop.papers.vonoswald2022 import scalar_descent
from innerloop.papers.vonoswald2022.scalar_descent import ScalarDescent, Starts, tuned
from innerloop.training import Trained, TrainingConfig
from innerloop.training.history import History, Record
from innerloop.training.program import trainable

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


def test_starts_differ_in_how_fast_their_numbers_grow():
    starts = Starts(3, rate=4.0, curvature=1.5, clip=10.0)
    found = [starts(d=3, p=1, key=jax.random.key(seed)) for seed in range(5)]
    growths = [np.diff(start.log_rates) for start in found]
    for start, growth in zip(found, growths, strict=True):
        np.testing.assert_allclose(growth, growth[0], rtol=1e-10)
        np.testing.assert_allclose(np.diff(start.log_curvatures), growth, rtol=1e-10)
        assert 0 <= growth[0] <= np.log(5.0)
        assert (start.log_rates[0], start.clip) == (pytest.approx(np.log(4.0)), 10.0)
    assert len({float(growth[0]) for growth in growths}) == len(found)


def test_the_best_start_is_taken_also_where_another_diverged(monkeypatch):
    each = [ScalarDescent(logs(rate), logs(rate + 3.0), 2, None) for rate in (1.0, 2.0, 3.0)]
    models = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    end = Record(
        step=1, training=(0.1,) * 3, held_out=(None, 0.2, 0.1), stopped=(None,) * 3,
        status=("diverged", "finished", "finished"), learning_rate=0.1, seconds=0.0,
    )  # fmt: skip
    trained = Trained(models, (0, 1, 2), History((end,)))
    monkeypatch.setattr(scalar_descent, "train", lambda *given, **options: trained)
    starts = Starts(2, rate=1.0, curvature=1.0, tied=True)
    found = tuned(starts, TASK, TrainingConfig(), seeds=(0, 1, 2))
    np.testing.assert_allclose((found.log_rates[0], found.log_curvatures[0]), np.log([3.0, 6.0]))


def test_models_linear_in_the_query_have_their_implied_weights_as_slopes():
    drawn = im.drawn(TASK, 5, seed=0)
    layers = SelfAttention(depth=2, init_scale=9.0)
    each = [layers(d=3, p=1, key=jax.random.key(seed)) for seed in range(2)]
    parts = [eqx.partition(model, trainable) for model in each]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[part for part, _ in parts])
    models = eqx.combine(stacked, parts[0][1])
    weights = im.implied(models, drawn)
    assert np.abs(weights).max() > 1e-3
    np.testing.assert_allclose(im.slopes(models, drawn), weights, rtol=1e-8, atol=1e-12)
    answers = im.predicted(models, drawn)
    np.testing.assert_allclose(answers, im.answered(weights, drawn), rtol=1e-8, atol=1e-12)
