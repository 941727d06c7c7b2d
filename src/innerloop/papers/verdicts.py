"""From a claim and its outcome to one of five verdicts; never silent."""

from enum import StrEnum

from innerloop.papers.claims import SCALES, Claim, Scale
from innerloop.papers.results import Result


class Verdict(StrEnum):
    """What came of a claim."""

    REPRODUCED = "reproduced"
    CORRECTED = "reproduced with our correction"
    NOT_REPRODUCED = "not reproduced"
    NEEDS_SCALE = "needs scale"
    FAILED = "did not run"
    NOT_BUILT = "not built yet"
    NOT_RUN = "not run"


def can_run(claim: Claim, scale: Scale) -> bool:
    """Whether a claim is built and `scale` is large enough to decide on it."""
    return claim.measure is not None and SCALES.index(scale) >= SCALES.index(claim.least)


def verdict(claim: Claim, result: Result | None, scale: Scale) -> Verdict:
    """What is said of a claim.

    Args:
        claim: The claim.
        result: What its computation gave; None where there is none.
        scale: The scale that was asked for.

    Returns:
        Its verdict.

    Example:
        >>> verdict(Claim("fig1", "Loss falls.", "Fig. 1", "none"), None, "small").value
        'not built yet'
    """
    if claim.measure is None:
        return Verdict.NOT_BUILT
    if not can_run(claim, scale):
        return Verdict.NEEDS_SCALE
    if result is None:
        return Verdict.NOT_RUN
    if result.outcome is None:
        return Verdict.FAILED
    if not result.outcome.checks or not all(check.holds for check in result.outcome.checks):
        return Verdict.NOT_REPRODUCED
    return Verdict.CORRECTED if claim.correction else Verdict.REPRODUCED
