"""`innerloop learn` on a small file: what it prints, what it writes, and that both are true."""

import csv

import numpy as np
import pytest

import innerloop as il
from innerloop.cli.commands import Learn
from innerloop.cli.learn import command_line
from innerloop.report import load_results, write_report

WORDS = ("--model", "mlp:4", "--optimizer", "momentum:0.05,0.9", "--steps", "3", "--out", "out")


@pytest.fixture
def learnt(innerloop, houses):
    answer = innerloop("learn", str(houses), "--target", "price", "--target", "rent", *WORDS)
    assert (answer.code, answer.err) == (0, "")
    return answer, houses.parent / "out"


def _predictions(out):
    with (out / "predictions.csv").open() as file:
        header, *rows = list(csv.reader(file))
    return header, np.array(rows, float)


def test_everything_that_a_run_of_learn_promises(learnt, houses):
    answer, out = learnt
    header, values = _predictions(out)
    kinds = ("", "_transformer", "_direct")
    assert header == [
        "row",
        *("price" + kind for kind in kinds),
        *("rent" + kind for kind in kinds),
    ]
    data = np.loadtxt(houses, delimiter=",", skiprows=1)
    rows = values[:, 0].astype(int) - 1
    assert len(rows) == round(0.2 * 23)
    np.testing.assert_array_equal(values[:, 1], data[rows, 4])
    np.testing.assert_array_equal(values[:, 4], data[rows, 5])
    np.testing.assert_allclose(values[:, 2::3], values[:, 3::3], rtol=1e-10)
    assert np.ptp(values[:, 2]) > 0

    for words in (
        "ReLU network 3-4-2, momentum 0.9 at rate 0.05",
        "difference",
        "ridge regression",
    ):
        assert words in answer.out
    assert "Left out, because constant in the training part: one." in answer.out

    model = il.load(out / "model")
    results = load_results(out)
    study = results.studies[0]
    assert (model.depth, study.sizes["depth"]) == (2 * 2 * 3 + 2,) * 2
    assert study.layers.tolist() == [2, 6, 10, 14]
    assert study.difference.max() < 1e-12
    assert f"{study.transformer_test[-1]:.4f}" in answer.out

    train = np.setdiff1d(np.arange(23), rows)
    x, y = data[:, :3], data[:, 4:]
    x, shift, scale = (x - x[train].mean(0)) / x[train].std(0), y[train].mean(0), y[train].std(0)
    prompt = il.Prompt(x[train], (y[train] - shift) / scale, x[rows])
    np.testing.assert_allclose(model(prompt) * scale + shift, values[:, 2::3], rtol=1e-9)

    page = (out / "report.html").read_text("utf-8")
    (out / "report.html").unlink()
    assert write_report(out).read_text("utf-8") == page


def test_one_target_in_single_precision(innerloop, houses):
    words = ("--model", "linear", "--steps", "2", "--loss", "huber:0.5", "--dtype", "float32")
    answer = innerloop("learn", str(houses), "--target", "price", *words)
    assert (answer.code, answer.err) == (0, "")
    study = load_results(houses.parent / "innerloop-learn").studies[0]
    assert study.dtype == "float32"
    assert 0 < study.difference.max() < 1e-5 or study.difference.max() == 0


def test_no_steps_is_the_untrained_network(innerloop, houses):
    answer = innerloop(
        "learn", str(houses), "--target", "price", "--steps", "0", "--model", "mlp:3"
    )
    assert (answer.code, answer.err) == (0, "")
    assert load_results(houses.parent / "innerloop-learn").studies[0].layers.tolist() == [2]


def test_the_command_line_repeats_the_run(tmp_path):
    command = Learn(data=tmp_path / "a b.csv", target=("my y",), steps=7)
    assert command_line(command).startswith("innerloop learn '")
    assert "--target 'my y' --model mlp:32 --optimizer sgd:0.1" in command_line(command)
