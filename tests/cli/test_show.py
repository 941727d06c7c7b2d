"""`innerloop show` prints the anatomy and the certificate of a saved model."""

import numpy as np
import pytest

import innerloop as il
from innerloop.cli.losses import parse_loss
from innerloop.cli.networks import network_learner
from innerloop.cli.optimizers import parse_optimizer
from innerloop.cli.specs import parse_model


@pytest.fixture
def saved(tmp_path, rng):
    learner = network_learner(
        parse_model("mlp:3"), parse_optimizer("sgd:0.1"), parse_loss("squared"), d=2, p=1, seed=0
    )
    prompt = il.Prompt(rng.normal(size=(7, 2)), rng.normal(size=(7, 1)), np.zeros((1, 2)))
    model = il.compile(learner, steps=2, like=prompt)
    il.save(model, tmp_path / "model")
    return model


@pytest.mark.parametrize("path", ["model", "."], ids=["the model", "the directory around it"])
def test_it_prints_every_part_and_the_certificate(innerloop, saved, path):
    answer = innerloop("show", path)
    assert (answer.code, answer.err) == (0, "")
    first, *rest = answer.out.splitlines()
    assert first.startswith(f"model: {saved.depth} layers, width {saved.width}; 2 steps on 2 cov")
    text = " ".join(" ".join(rest).split())
    for row in saved.anatomy().rows:
        assert row.kind in text
    assert str(saved.certificate) in answer.out
    assert answer.out.count("neurons") >= sum(r.kind == "neurons" for r in saved.anatomy().rows)


def test_a_truncated_model_is_one_line(innerloop, saved, tmp_path):
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    answer = innerloop("show", "model")
    assert answer.code == 2
    assert answer.err.startswith("innerloop: model")
    assert answer.err.count("\n") == 1
