"""Refusals: what cannot be compiled, where, why, and what to write instead."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """One operation that the compiler cannot lower.

    Args:
        operation: The primitive's name.
        source: File, line and text of the user's code.
        reason: Why it has no lowering.
        instead: What to write instead.
    """

    operation: str
    source: str
    reason: str
    instead: str

    def __str__(self) -> str:
        where = f" ({self.source})" if self.source else ""
        return f"{self.operation}{where}: {self.reason} {self.instead}"


class CompileError(ValueError):
    """A learner that cannot be compiled, with every reason at once.

    Args:
        refusals: One for each offending operation.
        total: How many operations the learner has.
    """

    def __init__(self, refusals: list[Refusal], total: int):
        self.refusals = tuple(refusals)
        unique = list(dict.fromkeys(str(refusal) for refusal in refusals))
        head = f"{len(unique)} of {total} operations cannot be compiled into a transformer."
        super().__init__("\n  ".join([head, *unique]))


class Refused(Exception):
    """Raised inside a lowering rule; the driver adds the operation and, if not given, its place."""

    def __init__(self, reason: str, instead: str, source: str = ""):
        self.reason, self.instead, self.source = reason, instead, source
        super().__init__(reason)
