"""A claim of a paper as an object: what it says, where, what is computed, and how near is near.

A `Claim` is measured at a scale and gives an `Outcome`: checks, each a number beside the interval
that it must lie in, and the arrays that its figure is drawn from.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Scale = Literal["smoke", "small", "paper"]
SCALES: tuple[Scale, ...] = ("smoke", "small", "paper")


@dataclass(frozen=True)
class Check:
    """One number that was computed, and the interval in which the claim holds.

    Args:
        what: What the number is, in words.
        got: The number.
        low: The least value that agrees with the claim.
        high: The largest.
        said: What the paper says of it, in its own precision; empty where it prints nothing.

    Example:
        >>> Check("loss", got=0.21, low=0.19, high=0.22, said="0.2").holds
        True
    """

    what: str
    got: float
    low: float = -math.inf
    high: float = math.inf
    said: str = ""

    @property
    def holds(self) -> bool:
        """Whether the number lies in the interval; not a number never does."""
        return bool(self.low <= self.got <= self.high)

    @property
    def accepted(self) -> str:
        """The interval in words.

        Example:
            >>> Check("error", 0.0, high=1e-10).accepted
            'at most 1e-10'
        """
        if self.low == -math.inf:
            return f"at most {self.high:.6g}"
        if self.high == math.inf:
            return f"at least {self.low:.6g}"
        return f"{self.low:.6g} to {self.high:.6g}"


def near(
    what: str,
    got: float,
    value: float,
    *,
    relative: float = 0.0,
    absolute: float = 0.0,
    said: str | None = None,
) -> Check:
    """A check that `|got - value| <= absolute + relative |value|`.

    Args:
        what: What the number is.
        got: The number.
        value: What it should be.
        relative: The share of `value` by which it may differ.
        absolute: The distance by which it may differ.
        said: What the paper prints; `value` itself when not given.

    Returns:
        The check.

    Example:
        >>> near("gamma", 0.176, 0.179, relative=0.05).accepted
        '0.17005 to 0.18795'
    """
    room = absolute + relative * abs(value)
    said = f"{value:g}" if said is None else said
    return Check(what, float(got), float(value - room), float(value + room), said)


def at_most(what: str, got: float, bound: float, *, said: str = "") -> Check:
    """A check that `got <= bound`, errors against exactness above all.

    Example:
        >>> at_most("error", 2e-16, 1e-10).holds, at_most("error", float("nan"), 1.0).holds
        (True, False)
    """
    return Check(what, float(got), high=float(bound), said=said)


def at_least(what: str, got: float, bound: float, *, said: str = "") -> Check:
    """A check that `got >= bound`; for what must fail, the error of a printed misprint say.

    Example:
        >>> at_least("error of the printed sign", 3.8, 0.1).holds
        True
    """
    return Check(what, float(got), low=float(bound), said=said)


@dataclass(frozen=True)
class Outcome:
    """What a claim's computation found.

    Args:
        checks: Its numbers; the claim holds where all of them do.
        arrays: What its figure is drawn from.
        settings: Sizes and constants that the run used, by name.
        seeds: The seeds of its random numbers.
    """

    checks: tuple[Check, ...]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    settings: Mapping[str, int | float | str] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Claim:
    """One statement of a paper, and the computation that decides on it.

    Args:
        id: A short name, unique in its paper.
        statement: What is claimed, in our words.
        place: Where the paper says it.
        tolerance: Where the intervals of the checks come from.
        measure: From a scale to the outcome; None where the claim is not built yet.
        draw: Fills a figure from the arrays of an outcome; None where numbers say it all.
        caption: What the figure shows.
        correction: What had to be corrected in the printed statement for it to hold; empty where
            it holds as printed.
        shortfall: Why it does not reproduce, once that has been looked into.
        least: The least scale at which the claim can be decided.
        trains: Whether transformers are trained for it.
        dtype: The precision that it is computed in.
    """

    id: str
    statement: str
    place: str
    tolerance: str
    measure: Callable[[Scale], Outcome] | None = None
    draw: "Callable[[Figure, Mapping[str, np.ndarray]], None] | None" = None
    caption: str = ""
    correction: str = ""
    shortfall: str = ""
    least: Scale = "smoke"
    trains: bool = False
    dtype: Literal["float32", "float64"] = "float64"


def untrained(
    name: str,
    statement: str,
    place: str,
    tolerance: str = "not set: no transformer is trained for this claim yet",
) -> Claim:
    """A claim whose transformers are not trained here yet: listed, and not built.

    Example:
        >>> untrained("fig1", "Loss falls.", "Fig. 1").measure is None
        True
    """
    return Claim(name, statement, place, tolerance, trains=True)


@dataclass(frozen=True)
class Paper:
    """A paper, and its claims.

    Args:
        key: First author and year, as in `innerloop reproduce KEY`.
        title: Its title.
        authors: Its authors.
        link: Where it is published.
        summary: What it says, in a paragraph.
        found: What checking it found, in a paragraph.
        claims: In the order of the paper.
    """

    key: str
    title: str
    authors: str
    link: str
    summary: str
    found: str
    claims: tuple[Claim, ...]

    def claim(self, name: str) -> Claim:
        """The claim of this name.

        Raises:
            KeyError: If there is none.
        """
        return {claim.id: claim for claim in self.claims}[name]


class Item(NamedTuple):
    """A claim of a paper."""

    paper: Paper
    claim: Claim
