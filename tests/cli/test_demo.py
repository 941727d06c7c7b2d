"""`innerloop demo`: cut short for every day, whole for the slow tests."""

import time

import pytest

from innerloop.cli import demo
from innerloop.report import load_results


def test_a_short_demo_prints_and_writes_both_studies(innerloop, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "DIABETES", (*demo.DIABETES[:2], 2))
    monkeypatch.setattr(demo, "DIGITS", (*demo.DIGITS[:2], 1))
    answer = innerloop("demo", "--out", "out")
    assert (answer.code, answer.err) == (0, "")
    for words in (
        "353 context examples, 89 test",
        "1000 context examples, 797 test",
        "Ridge",
        "MLP",
    ):
        assert words in answer.out
    results = load_results(tmp_path / "out")
    assert [study.name for study in results.studies] == ["diabetes", "digits"]
    for study in results.studies:
        assert study.difference.max() < 1e-12
        assert (tmp_path / "out" / study.name).is_dir()
    assert (tmp_path / "out" / "report.html").stat().st_size < 5_000_000


@pytest.mark.slow
def test_the_whole_demo_learns_within_a_minute(innerloop, tmp_path):
    before = time.perf_counter()
    assert innerloop("demo", "--out", "out").code == 0
    assert time.perf_counter() - before < 60
    diabetes, digits = load_results(tmp_path / "out").studies
    assert diabetes.transformer_test[-1] > 0.4
    assert digits.transformer_test[-1] > 0.9
    for study in (diabetes, digits):
        assert study.difference.max() < 1e-10
