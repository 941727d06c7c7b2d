"""What claims on trained models are measured with, where the answer is known."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from innerloop.papers.vonoswald2022 import sine, trained_copying
from innerloop.tasks import CorrelatedSine, von_oswald
from innerloop.training import TrainingConfig
from innerloop.training.program import held_out, trainable


def test_the_step_on_features_is_attention_with_the_weights_of_proposition_1(key):
    layer = dataclasses.replace(sine.LAYER, averages=True, init_scale=0.5)(d=1, p=1, key=key)
    step = sine.StepOnFeatures(dataclasses.replace(layer, stages=layer.stages[:1]))
    x = np.diag([1.0] * 39 + [0.0])
    y = np.eye(40) - x
    layer = eqx.tree_at(
        lambda m: [
            getattr(m.stages[1].blocks.attention[0], w) for w in ("W_Q", "W_K", "W_V", "W_O")
        ],
        layer,
        [jnp.asarray(w)[None, None] for w in (x, x, -y, sine.STEP_SIZE * y)],
    )
    prompt = CorrelatedSine(m=3).sample(key=key).prompt
    answers = (eqx.filter_jit(model)(prompt) for model in (step, layer))
    np.testing.assert_allclose(*answers, rtol=1e-9)


def test_a_first_layer_that_only_copies_depends_on_itself_and_what_follows(key):
    """Keys of a later position win the softmax; values are whole tokens, scaled."""
    model = trained_copying.COPYING(d=10, p=1, key=key)
    r, size = 21, model.positions
    place = np.diag([0.0] * (r - size) + [1.0] * size)
    turn = np.zeros((r, r))  # sinusoids of t + 1 are those of t, turned
    for i in range(0, size, 2):
        angle, at = 10_000.0 ** (-i / size), r - size + i
        cos, sin = np.cos(angle), np.sin(angle)
        turn[at : at + 2, at : at + 2] = [[cos, sin], [-sin, cos]]
    weights = 1e4 * turn, place, np.eye(r), 0.5 * np.eye(r)
    model = eqx.tree_at(
        lambda m: [
            getattr(m.stages[0].blocks.attention[0], w) for w in ("W_Q", "W_K", "W_V", "W_O")
        ],
        model,
        [jnp.asarray(w)[None, None] for w in weights],
    )
    prompts = held_out(von_oswald(), TrainingConfig(evaluation_prompts=2)).prompt
    stacked = jax.tree.map(lambda a: jnp.asarray(a)[None], eqx.filter(model, trainable))
    static = eqx.filter(model, trainable, inverse=True)
    own, following, other = trained_copying.own_next_other(stacked, static, prompts)[0]
    np.testing.assert_allclose([own, following], np.sqrt(11) * np.array([1, 0.5]), rtol=1e-6)
    assert abs(other) < 1e-6


def test_where_a_loss_has_fallen_half_way():
    losses = np.array([[1.0, 1.0, 1.0], [0.9, 0.4, 1.1], [0.55, 0.2, 0.9], [0.1, 0.1, 0.8]])
    ratio = np.arange(12.0).reshape(4, 3)
    found = trained_copying.fall(losses, ratio, 0.1)
    np.testing.assert_array_equal(found, [[3.0, 1.0, np.nan], [6.0, 4.0, np.nan]])
