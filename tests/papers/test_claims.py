"""Laws over every claim of every paper, and the verdicts that they lead to."""

import dataclasses
import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from innerloop.papers import PAPERS, Check, Claim, Outcome, Result, Verdict, measured, verdict
from innerloop.papers.claims import at_least, at_most, near
from innerloop.papers.verdicts import can_run

ITEMS = [
    pytest.param(paper, claim, id=f"{paper.key}-{claim.id}")
    for paper in PAPERS
    for claim in paper.claims
]
AT_SMOKE = [item for item in ITEMS if can_run(item.values[1], "smoke")]


def result_of(outcome, *, claim="claim"):
    return Result("paper", claim, "smoke", outcome, "", 0.0, {}, "")


def test_papers_and_claims_have_names_of_their_own():
    assert len({paper.key for paper in PAPERS}) == len(PAPERS)
    for paper in PAPERS:
        names = [claim.id for claim in paper.claims]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(("paper", "claim"), ITEMS)
def test_a_claim_says_what_where_and_how_near(paper, claim):
    assert claim.statement.endswith(".")
    assert claim.place
    assert claim.tolerance
    assert (claim.draw is None) or claim.caption
    assert paper.link.startswith("https://")


@pytest.mark.parametrize(("paper", "claim"), AT_SMOKE)
def test_a_claim_that_runs_at_once_has_a_verdict_that_is_explained(paper, claim):
    outcome = measured(claim, "smoke")
    found = verdict(claim, result_of(outcome), "smoke")
    failures = [check for check in outcome.checks if not check.holds]
    if found is Verdict.NOT_REPRODUCED:
        assert claim.shortfall, failures
    else:
        assert found in (Verdict.REPRODUCED, Verdict.CORRECTED)
        assert not claim.shortfall, "a reason is given for what does reproduce"
    assert all(isinstance(array, np.ndarray) for array in outcome.arrays.values())
    if claim.draw is not None:
        claim.draw(figure := Figure(), outcome.arrays)
        assert figure.axes


def test_each_kind_of_check_can_fail():
    assert not near("", 1.2, 1.0, relative=0.1).holds
    assert not near("", 1.2, 1.0, absolute=0.1).holds
    assert not at_most("", 1e-9, 1e-10).holds
    assert not at_least("", 0.0, 0.1).holds
    assert not any(check("", math.nan, 1.0).holds for check in (near, at_most, at_least))


CLAIM = Claim("claim", "It holds.", "Theorem 1", "none", measure=lambda scale: Outcome(()))
GOOD, BAD = Check("good", 1.0, 0.0, 2.0), Check("bad", 3.0, 0.0, 2.0)


@pytest.mark.parametrize(
    ("changes", "outcome", "expected"),
    [
        ({}, Outcome((GOOD,)), Verdict.REPRODUCED),
        ({}, Outcome((GOOD, BAD)), Verdict.NOT_REPRODUCED),
        ({}, Outcome(()), Verdict.NOT_REPRODUCED),
        ({}, None, Verdict.FAILED),
        ({"correction": "the sign"}, Outcome((GOOD,)), Verdict.CORRECTED),
        ({"correction": "the sign"}, Outcome((BAD,)), Verdict.NOT_REPRODUCED),
        ({"least": "small"}, None, Verdict.NEEDS_SCALE),
        ({"measure": None}, None, Verdict.NOT_BUILT),
    ],
)
def test_verdicts(changes, outcome, expected):
    claim = dataclasses.replace(CLAIM, **changes)
    assert verdict(claim, result_of(outcome), "smoke") is expected


def test_a_claim_without_a_result_was_not_run():
    assert verdict(CLAIM, None, "smoke") is Verdict.NOT_RUN
