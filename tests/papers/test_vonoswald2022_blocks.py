"""What von Oswald et al.'s blocks with neurons are measured with, where the answer is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from innerloop.diagnostics import predictions
from innerloop.papers.vonoswald2022 import grokking, twelve_blocks
from innerloop.papers.vonoswald2022 import implied as im
from innerloop.papers.vonoswald2022.scalar_descent import ScalarDescent
from innerloop.tasks import Sample, von_oswald

ONE = jnp.zeros(1)


def test_every_stack_is_aligned_with_its_own_slopes():
    tasks = im.drawn(von_oswald(), 20, seed=0)
    pairs = [
        grokking.stacked(
            [ScalarDescent(jnp.log(jnp.array([rate])), ONE, 2, None) for rate in rates]
        )
        for rates in ((1.0, 4.0), (9.0, 2.0))
    ]
    weights = [im.slopes(pair, tasks) for pair in pairs]
    directions = {"first": weights[0][1], "second": weights[1][0]}
    found = twelve_blocks.aligned(pairs, directions, tasks)
    assert found.shape == (2, 2, 2)
    np.testing.assert_allclose([found[0, 0, 1], found[1, 1, 0]], 1.0, rtol=1e-10)
    for stack, direction in ((0, "second"), (1, "first")):
        expected = im.cosines(weights[stack], directions[direction])
        np.testing.assert_allclose(found[stack, 1 - stack], expected, rtol=1e-10)
        assert expected.max() < 1 - 1e-4


@pytest.mark.slow
def test_a_block_fits_a_few_fixed_tasks_and_no_others(monkeypatch):
    monkeypatch.setattr(grokking, "SIZE", 4)
    pools = grokking.stacked([grokking.fixed_tasks(seed) for seed in (0, 1)])
    tasks = im.drawn(von_oswald(), 200, seed=3)
    fresh = Sample(tasks.prompts, jnp.asarray(tasks.answers)[:, None, None])
    setting = grokking.Setting(batch=4, rate=1e-2, steps=400)
    found = grokking.curves(setting, pools, fresh, (0, 1))
    models = [grokking.started(setting, seed) for seed in (0, 1)]
    answers = [predictions(model, tasks.prompts)[:, 0, 0] for model in models]
    first = im.errors(np.stack(answers).astype(np.float64), tasks).mean(1)
    np.testing.assert_allclose(found.fresh[:, 0], first, rtol=1e-6)
    assert found.steps[-1] == setting.steps
    rise, training = grokking.overfitting(found, 0.2)
    assert (found.training[:, -1] < 1e-3).all()
    assert (rise > 1).all()
    assert (training < 1).all()


def test_sharper_neurons_and_fainter_attention_are_the_first_weights_multiplied():
    plain = grokking.started(grokking.Setting(64, 1e-3, 1), 5).stages[0].blocks
    other = grokking.Setting(64, 1e-3, 1, attention=0.5, sharpness=3.0)
    changed = grokking.started(other, 5).stages[0].blocks
    for weight in ("W_Q", "W_K", "W_V", "W_O"):
        first, second = (getattr(block.attention[0], weight) for block in (plain, changed))
        np.testing.assert_allclose(second, 0.5 * first)
    assert plain.mlp is not None
    assert changed.mlp is not None
    np.testing.assert_allclose(changed.mlp.W_in, 3.0 * plain.mlp.W_in)
    np.testing.assert_array_equal(changed.mlp.W_out, plain.mlp.W_out)


def test_overfitting_is_a_rise_on_the_plateau_after_its_lowest_loss():
    training = np.array([[4.0, 3.0, 2.0, 1.0, 1.0], [4.0, 3.0, 2.0, 1.0, 1.0]])
    fresh = np.array([[4.0, 3.0, 4.5, 1.0, 1.4], [4.0, 3.0, 2.0, 1.0, 1.0]])
    found = grokking.overfitting(grokking.Curves(np.arange(5), training, fresh), 1.0)
    np.testing.assert_allclose(found, [[1.5, 1.0], [2 / 3, 1.0]])
