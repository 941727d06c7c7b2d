"""When a seed goes on and when it stops, from its losses alone."""

import numpy as np
import pytest

from innerloop.training import Record, TrainingConfig
from innerloop.training import history as log
from innerloop.training.verdicts import Chunk, Verdict, first_verdict, verdicts


def _record(step, *held_out, status=None, stopped=None):
    count = len(held_out)
    return Record(
        step=step,
        training=(None,) * count,
        held_out=held_out,
        stopped=stopped or (None,) * count,
        status=status or (log.RUNNING,) * count,
        learning_rate=0.1,
        seconds=0.0,
    )


def _after(records, held_out, config, taken=None):
    seeds = len(held_out)
    taken = np.ones((seeds, 5), bool) if taken is None else taken
    chunk = Chunk(np.zeros(taken.shape), taken)
    return verdicts(records, chunk, np.array(held_out, float), config)


def test_seeds_run_until_the_last_step():
    config = TrainingConfig(steps=10)
    assert _after([_record(0, 1.0)], [0.9], config) == [Verdict(log.RUNNING, None)]
    assert _after([_record(5, 1.0)], [0.9], config) == [Verdict(log.FINISHED, None)]


@pytest.mark.parametrize(("loss", "status"), [(1999.0, log.RUNNING), (2001.0, log.DIVERGED)])
def test_a_loss_a_thousand_times_the_first_is_divergence(loss, status):
    assert _after([_record(0, 2.0)], [loss], TrainingConfig())[0].status == status


def test_a_loss_that_is_not_finite_is_divergence():
    assert _after([_record(0, 2.0)], [np.nan], TrainingConfig()) == [Verdict(log.DIVERGED, 5)]
    assert first_verdict(np.inf, TrainingConfig()) == Verdict(log.DIVERGED, 0)


def test_the_step_that_was_not_taken_is_named_and_others_go_on():
    taken = np.ones((2, 5), bool)
    taken[1, 3:] = False
    found = _after([_record(10, 1.0, 1.0)], [1.0, 1.0], TrainingConfig(), taken)
    assert found == [Verdict(log.RUNNING, None), Verdict(log.DIVERGED, 13)]


def test_a_verdict_stands():
    past = _record(10, 1.0, status=(log.TARGET,), stopped=(7,))
    assert _after([past], [np.nan], TrainingConfig()) == [Verdict(log.TARGET, 7)]


def test_a_target_that_is_reached():
    config = TrainingConfig(target=0.5)
    assert _after([_record(0, 1.0)], [0.5], config) == [Verdict(log.TARGET, 5)]
    assert _after([_record(0, 1.0)], [0.51], config)[0].status == log.RUNNING


def test_patience_ends_with_the_evaluations_it_was_given():
    config = TrainingConfig(patience=2)
    losses, statuses = [1.0, 0.8, 0.9, 0.7, 0.7, 0.75], []
    for count in range(1, len(losses)):
        records = [_record(5 * i, loss) for i, loss in enumerate(losses[:count])]
        statuses.append(_after(records, [losses[count]], config)[0].status)
    assert statuses == [log.RUNNING] * 4 + [log.STALLED]


def test_the_mean_loss_counts_steps_that_were_taken():
    losses = np.array([[1.0, 3.0, np.nan], [2.0, 2.0, 2.0], [np.nan] * 3])
    taken = np.array([[True, True, False], [True] * 3, [False] * 3])
    np.testing.assert_array_equal(Chunk(losses, taken).means, [2.0, 2.0, np.nan])
