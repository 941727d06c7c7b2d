"""Run folders, and configurations that come back as they went."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from innerloop import models, tasks, training
from innerloop.training.configurations import decode, encode, override
from innerloop.training.runs import KINDS, Run

SMALL = Run(
    models.SelfAttention(),
    tasks.von_oswald(n=3, d=2),
    training.TrainingConfig(steps=4, batch=4, evaluate_every=2, evaluation_prompts=8),
    seeds=(2, 5),
)
RICH = Run(
    models.SelfAttention(depth=2, kernel=("softmax", "linear"), tokens="alternating"),
    tasks.Mixture(
        tasks=(
            tasks.GaussianProcess(n=5, d=3, kernel=(tasks.Covariance("rbf", first=1),)),
            tasks.LinearRegression(n=5, d=3, teacher_mixing=tasks.rotated((1.0, 4.0, 2.0), seed=0)),
        )
    ),
    training.TrainingConfig(curriculum=training.Curriculum(), target=0.1),
)
RUNS = training.PRESETS | {"small": SMALL, "rich": RICH}


@pytest.mark.parametrize("name", RUNS)
def test_a_configuration_comes_back_as_it_went(name):
    written = json.loads(json.dumps(encode(RUNS[name])))
    assert decode(written, Run, KINDS) == RUNS[name]


@pytest.mark.slow
def test_a_run_folder_is_enough_to_run_it_again(tmp_path):
    first = training.execute(SMALL, tmp_path / "first")
    training.execute(training.read(tmp_path / "first" / "config.json"), tmp_path / "again")
    left, right = (
        load_file(tmp_path / name / "weights.safetensors") for name in ("first", "again")
    )
    assert left.keys() == right.keys() and len(left) == 4
    assert all(np.array_equal(left[name], right[name]) for name in left)
    assert all(value.shape[0] == 2 for value in left.values())
    versions = json.loads((tmp_path / "first" / "versions.json").read_text())
    assert {"python", "jax", "innerloop", "git"} <= versions.keys()
    assert len((tmp_path / "first" / "metrics.jsonl").read_text().splitlines()) == 3
    assert first.status == ("finished", "finished")


def test_a_folder_of_another_run_is_not_used(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(encode(RICH)))
    with pytest.raises(training.ConfigurationError, match="holds a run with another configuration"):
        training.execute(SMALL, tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("task.nn", 3, "task has no field 'nn'; it has n, d"),
        ("task.n.x", 3, "no group of fields"),
        ("task.n", "many", "run.task.n is 'many', and must be an integer"),
        ("task.n", True, "run.task.n is True, and must be an integer"),
        ("task.noise", "loud", "run.task.noise is 'loud', and must be a number"),
        ("training.loss", "mse", "must be 'queries' or 'prefixes'"),
        ("training.batch", 0, "run.training: batch must be at least 1; got 0"),
        ("task.covariates.family", "cauchy", "must be 'normal' or 'uniform'"),
        ("task.kind", "Sinus", "run.task.kind is 'Sinus', and must be CorrelatedSine or"),
        ("seeds", 3, "run.seeds is 3, and must be a list"),
        ("training.curriculum", {"dims": [1]}, "dims is \\[1\\], and must be a list of 2"),
        ("model", {"kind": "SelfAttention", "deep": 3}, "SelfAttention has no field 'deep'"),
    ],
)
def test_mistakes_in_a_configuration_are_named(path, value, message):
    data = encode(SMALL)
    with pytest.raises(training.ConfigurationError, match=message):
        override(data, path, value)
        decode(data, Run, KINDS)


def test_a_file_that_is_not_json_is_named(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(training.ConfigurationError, match="run.json is not JSON"):
        training.read(tmp_path / "run.json")
