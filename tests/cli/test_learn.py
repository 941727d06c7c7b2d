"""`innerloop learn` on a small file: what it prints, what it writes, and that both are true."""

import csv
import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.metrics import accuracy_score, log_loss

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
    command = Learn(data=tmp_path / "a b.csv", target=("my y",), steps=7, categorical=("z",))
    assert command_line(command).startswith("innerloop learn '")
    assert "--categorical z" in command_line(command) and "--loss" not in command_line(command)
    assert "--loss poisson" in command_line(dataclasses.replace(command, loss="poisson"))
    assert "--target 'my y' --categorical z --model mlp:32 --optimizer sgd:0.1" in command_line(
        command
    )


def _wine(path):
    """scikit-learn's wine with its classes as words, and one covariate cut into words."""
    data = load_wine()
    names = ["alcohol", "malic", *(f"c{k}" for k in range(10)), "strength", "cultivar"]
    strength = np.where(data.data[:, 12] > 700, "strong", "weak")
    cultivar = np.array(["barolo", "grignolino", "barbera"])[data.target]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        rows = zip(data.data[:, :12].tolist(), strength, cultivar, strict=True)
        writer.writerows([*row, a, b] for row, a, b in rows)
    return strength, cultivar


def test_words_are_classes_with_probabilities(innerloop, tmp_path):
    _, cultivar = _wine(tmp_path / "wine.csv")
    words = (
        "--model",
        "mlp:12",
        "--optimizer",
        "nesterov:0.1,0.9",
        "--steps",
        "12",
        "--out",
        "out",
    )
    answer = innerloop("learn", "wine.csv", "--target", "cultivar", *words)
    assert (answer.code, answer.err) == (0, "")
    with (tmp_path / "out" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    truth = [row["cultivar"] for row in rows]
    assert truth == [cultivar[int(row["row"]) - 1] for row in rows]
    classes = ["barbera", "barolo", "grignolino"]
    study = load_results(tmp_path / "out").studies[0]
    for kind, scores, losses in (
        ("transformer", study.transformer_test, study.transformer_log_loss),
        ("direct", study.direct_test, study.direct_log_loss),
    ):
        shares = np.array(
            [[float(row[f"probability_{c}_{kind}"]) for c in classes] for row in rows]
        )
        np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-12)
        predicted = [row[f"cultivar_{kind}"] for row in rows]
        assert predicted == [classes[k] for k in shares.argmax(1)]
        assert scores[-1] == pytest.approx(accuracy_score(truth, predicted)) and scores[-1] > 0.9
        assert losses[-1] == pytest.approx(log_loss(truth, shares, labels=classes))
        assert losses[-1] < 0.25 < losses[0]
    assert study.difference.max() < 1e-3
    names = {yardstick.name for yardstick in study.yardsticks}
    assert names == {"majority class (barolo)", "logistic regression"}
    for text in ("softmax cross-entropy", "log-loss", "strength (2 levels)", "certificate:"):
        assert text in answer.out
    assert str(il.load(tmp_path / "out" / "model").certificate).splitlines()[0] in answer.out
    assert f"{study.transformer_log_loss[-1]:.4f}" in answer.out
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "probability of barolo" in page and f"{study.direct_log_loss[-1]:.4f}" in page


def test_a_smaller_tolerance_is_a_smaller_difference(innerloop, tmp_path):
    _wine(tmp_path / "wine.csv")
    found = []
    for tolerance in ("1e-4", "1e-7"):
        words = ("--model", "linear", "--steps", "2", "--tolerance", tolerance, "--out", "out")
        assert innerloop("learn", "wine.csv", "--target", "cultivar", *words).code == 0
        found.append(load_results(tmp_path / "out").studies[0].difference.max())
    assert 0 < found[1] < 0.05 * found[0]


def test_hinge_gives_scores_and_no_probabilities(innerloop, tmp_path):
    _wine(tmp_path / "wine.csv")
    words = ("--model", "linear", "--loss", "hinge", "--steps", "3", "--out", "out")
    answer = innerloop("learn", "wine.csv", "--target", "cultivar", *words)
    assert (answer.code, answer.err) == (0, "")
    header = (tmp_path / "out" / "predictions.csv").read_text().splitlines()[0]
    assert "score_barolo_transformer" in header and "probability" not in header
    assert "log-loss" not in answer.out


def test_counts_are_answered_by_positive_rates(innerloop, tmp_path, rng):
    x = rng.normal(size=60)
    visits = rng.poisson(np.exp(1.0 + 0.7 * x))
    columns = np.column_stack([x, visits])
    np.savetxt(tmp_path / "v.csv", columns, delimiter=",", header="x,visits", comments="")
    words = ("--loss", "poisson", "--model", "linear", "--steps", "30", "--optimizer", "sgd:0.3")
    answer = innerloop("learn", "v.csv", "--target", "visits", *words, "--out", "out")
    assert (answer.code, answer.err) == (0, "")
    _, values = _predictions(tmp_path / "out")
    rows = values[:, 0].astype(int) - 1
    np.testing.assert_array_equal(values[:, 1], visits[rows])
    rates = np.exp(1.0 + 0.7 * x[rows])
    assert np.abs(np.log(values[:, 2] / rates)).max() < 0.5
    np.testing.assert_allclose(values[:, 2], values[:, 3], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "target", "words", "least"),
    [
        (load_wine, "target", ("--categorical", "target", "--loss", "sigmoid"), 0.9),
        (load_breast_cancer, "target", ("--categorical", "target"), 0.9),
        (load_diabetes, "target", ("--optimizer", "adam:1e-2"), 0.35),
    ],
    ids=["wine", "cancer", "diabetes"],
)
def test_real_data_are_learnt(load, target, words, least, tmp_path):
    load(as_frame=True).frame.to_csv(tmp_path / "data.csv", index=False)
    command = [sys.executable, "-m", "innerloop.cli", "learn", "data.csv", "--target", target]
    run = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    study = load_results(tmp_path / "innerloop-learn").studies[0]
    assert study.transformer_test[-1] > least
    assert study.difference.max() < 1e-2
