"""What every head and every group of neurons of a compiled transformer is for."""

from collections.abc import Sequence
from dataclasses import dataclass

from innerloop.compiler.allocate import Allocation
from innerloop.compiler.graph import Head
from innerloop.compiler.wiring import Wired


@dataclass(frozen=True)
class Part:
    """A head, or a group of neurons that do one thing.

    Args:
        block: `init`, `step` or `read-out`.
        layer: The layer within its block, from 1.
        kind: `head` or `neurons`.
        computes: What it computes.
        reads: The subspaces it reads.
        writes: The subspaces it writes.
        size: A head's key size, or the number of neurons.
        source: The line of the user's code, or nothing for housekeeping.
    """

    block: str
    layer: int
    kind: str
    computes: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    size: int
    source: str


@dataclass(frozen=True)
class Anatomy:
    """A table with a row for each part, in the order in which they run."""

    rows: tuple[Part, ...]

    def __str__(self) -> str:
        head = ("block", "layer", "kind", "size", "computes", "reads", "writes", "source")
        table = [head] + [
            (
                part.block,
                str(part.layer),
                part.kind,
                str(part.size),
                part.computes,
                ", ".join(part.reads),
                ", ".join(part.writes),
                part.source,
            )
            for part in self.rows
        ]
        widths = [max(len(row[k]) for row in table) for k in range(len(head))]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in table
        ]
        return "\n".join(line.rstrip() for line in lines)


def anatomy_of(allocations: Sequence[tuple[str, Allocation]]) -> Anatomy:
    """The anatomy of all blocks, in order."""
    return Anatomy(
        tuple(
            _part(block, time, item)
            for block, allocation in allocations
            for time, row in enumerate(allocation.schedule.times)
            for item in row
        )
    )


def _part(block: str, time: int, item: Wired) -> Part:
    operation = item.operation
    reads = tuple(dict.fromkeys(a.name for form in operation.reads for a in form.terms))
    writes = tuple(dict.fromkeys(atom.name for atom, _ in item.targets))
    if isinstance(operation, Head):
        kind, size = "head", operation.key.size
    else:
        kind, size = "neurons", operation.count
    source = operation.out.source
    return Part(block, time // 2 + 1, kind, operation.computes, reads, writes, size, source)
