"""The store: what is there is not computed again, what broke off is, so is other code's."""

import dataclasses
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from innerloop.papers import (
    Check,
    Claim,
    Item,
    Outcome,
    Paper,
    Result,
    Store,
    Verdict,
    missing,
    rows,
    run_missing,
    select,
)
from innerloop.papers import reproduce as module
from innerloop.papers.reproduce import together
from innerloop.papers.results import fingerprint

RUNS = []


def counted(scale):
    RUNS.append(scale)
    arrays = {"curve": np.array([[0.1, np.inf], [1 / 3, -0.0]]), "n": np.arange(3)}
    return Outcome((Check("one", 1.0, 0.5, 1.5, "1"),), arrays, {"n": 3}, seeds=(5,))


def broken(scale):
    raise ZeroDivisionError("no such number")


CLAIMS = (
    Claim("first", "It holds.", "Theorem 1", "none", measure=counted),
    Claim("second", "It holds too.", "Theorem 2", "none", measure=counted),
    Claim("broken", "It does not run.", "Theorem 3", "none", measure=broken),
    Claim("large", "It takes long.", "Figure 1", "none", measure=counted, least="paper"),
    Claim("later", "It is not built.", "Figure 2", "none"),
)
PAPER = Paper("made2000", "Made up", "Nobody", "https://example.org", "Says.", "Found.", CLAIMS)
ITEMS = [Item(PAPER, claim) for claim in CLAIMS]


@pytest.fixture(autouse=True)
def made_up(monkeypatch):
    RUNS.clear()
    monkeypatch.setattr(module, "paper", lambda key: PAPER)


def verdicts(directory):
    return {row.claim.id: row.verdict for row in rows(ITEMS, "smoke", directory)}


def test_every_claim_has_a_verdict_and_one_that_breaks_does_not_end_the_others(tmp_path):
    run_missing(ITEMS, "smoke", tmp_path, jobs=1)
    assert verdicts(tmp_path) == {
        "first": Verdict.REPRODUCED,
        "second": Verdict.REPRODUCED,
        "broken": Verdict.FAILED,
        "large": Verdict.NEEDS_SCALE,
        "later": Verdict.NOT_BUILT,
    }
    result = Store(tmp_path).load("made2000", CLAIMS[2], "smoke")
    assert "no such number" in result.error


def test_claims_that_share_a_training_are_computed_together_and_first():
    train = [
        Claim(name, "Trains.", "Fig. 1", "none", measure=counted, trains=True) for name in "ab"
    ]
    elsewhere = Claim("c", "Trains.", "Fig. 2", "none", measure=select, trains=True)
    claims = [CLAIMS[0], train[0], elsewhere, CLAIMS[1], train[1]]
    found = together([Item(PAPER, claim) for claim in claims])
    assert found == [(PAPER.key, names) for names in (("a", "b"), ("c",), ("first",), ("second",))]


def test_a_second_call_computes_only_what_is_missing(tmp_path):
    def stop(result):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_missing(ITEMS, "smoke", tmp_path, jobs=1, done=stop)
    assert [item.claim.id for item in missing(ITEMS, "smoke", tmp_path)] == ["second", "broken"]
    run_missing(ITEMS, "smoke", tmp_path, jobs=1)
    assert len(RUNS) == 2
    assert [item.claim.id for item in missing(ITEMS, "smoke", tmp_path)] == ["broken"]


def test_results_come_back_to_the_last_bit(tmp_path):
    outcome = counted("smoke")
    mark = fingerprint()
    saved = Result("made2000", "first", "smoke", outcome, "", 0.1, {"jax": "1"}, mark)
    Store(tmp_path).save(saved)
    loaded = Store(tmp_path).load("made2000", CLAIMS[0], "smoke")
    for name, array in outcome.arrays.items():
        assert loaded.outcome.arrays[name].dtype == array.dtype
        assert loaded.outcome.arrays[name].tobytes() == array.tobytes()
    bare = {"arrays": {}}
    assert dataclasses.replace(
        loaded, outcome=dataclasses.replace(loaded.outcome, **bare)
    ) == dataclasses.replace(saved, outcome=dataclasses.replace(outcome, **bare))


@pytest.mark.parametrize("damage", ["other code", "half a file", "no fields"])
def test_what_cannot_be_trusted_is_computed_again(damage, tmp_path):
    run_missing(ITEMS[:1], "smoke", tmp_path, jobs=1)
    path = Store(tmp_path).path("made2000", "first", "smoke")
    text = path.read_text("utf-8")
    mark = fingerprint()
    changed = {
        "other code": text.replace(mark, "0" * len(mark)),
        "half a file": text[: len(text) // 2],
        "no fields": "{}",
    }
    path.write_text(changed[damage], "utf-8")
    assert missing(ITEMS[:1], "smoke", tmp_path) == ITEMS[:1]


def test_a_killed_run_goes_on_where_it_stood(tmp_path):
    """SIGKILL once a result is there; the second call leaves that file as it is."""
    command = [sys.executable, "-m", "innerloop.cli", "reproduce", "mahankali2023"]
    command += ["--scale", "smoke", "--jobs", "1", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (done := sorted(tmp_path.glob("results/*/*.json"))) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in done}
    assert before
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert {path: path.stat().st_mtime_ns for path in done} == before
    assert not missing(select(["mahankali2023"]), "smoke", tmp_path / "results")
    assert "reproduced" in (tmp_path / "index.html").read_text("utf-8")
