"""`innerloop train`: presets, files, overrides, run folders, and what it says of mistakes."""

import json

import pytest

QUICK = tuple(
    word
    for field in ("steps=4", "batch=8", "evaluate_every=2", "evaluation_prompts=16")
    for word in ("--set", f"training.{field}")
)


def test_a_preset_is_trained_and_its_folder_goes_on(innerloop, tmp_path):
    words = ("train", "vonoswald-one-layer", *QUICK, "--seeds", "2", "--out", "run")
    answer = innerloop(*words, "--set", "task.n=3", "--set", "task.d=2")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.count("held-out loss") == 2 and "finished" in answer.out
    folder = tmp_path / "run"
    config = json.loads((folder / "config.json").read_text())
    assert (config["task"]["n"], config["training"]["steps"], config["seeds"]) == (3, 4, [0, 1])
    again = innerloop("train", "run", "--out", "run")
    assert (again.code, again.out) == (0, answer.out)
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3


@pytest.mark.slow
def test_every_seed_diverging_is_a_failure(innerloop):
    words = ("train", "vonoswald-one-layer", *QUICK, "--set", "training.divergence=0.5")
    answer = innerloop(*words, "--out", "run")
    assert answer.code == 1 and "diverged at step 0" in answer.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("van-gogh",), "van-gogh is no preset and no file; the presets are vonoswald-one-layer"),
        (("vonoswald-one-layer", "--set", "task.n"), "--set task.n has no value"),
        (("vonoswald-one-layer", "--set", "task.m0=1"), "task has no field 'm0'; it has n, d, m"),
        (("vonoswald-one-layer", "--set", "task.n=x"), "run.task.n is 'x', and must be an integer"),
        (("broken.json",), "broken.json is not JSON"),
    ],
)
def test_mistakes_are_told_in_one_line(innerloop, tmp_path, words, message):
    (tmp_path / "broken.json").write_text("{")
    answer = innerloop("train", *words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("innerloop: ") and answer.err.count("\n") == 1
    assert message in answer.err
