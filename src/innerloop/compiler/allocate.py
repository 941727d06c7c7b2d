r"""Where every atom stands in the residual stream, and when it is wiped.

An atom occupies its coordinates from its first write to its last read; the first MLP at or after
that read subtracts it, and the coordinates are free again, in the same half-layer unless the atom
is large. What is read after the last half-layer is never wiped. The width is the largest number of
coordinates in use at once, never more.
Axes: `r` residual width, `l` layers of a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from innerloop.compiler.forms import Atom, Form, eye
from innerloop.compiler.neurons import Neurons
from innerloop.compiler.schedule import Schedule
from innerloop.compiler.wiring import Wired

ALWAYS = -1
"""The time at which what is never computed in a block is there: before its first half-layer."""


@dataclass(frozen=True)
class Subspace:
    """Coordinates of the residual stream that hold one thing for a while.

    Args:
        name: What they hold.
        tokens: Which tokens hold it: `data` or `register`.
        block: In which block; empty for what lives through all of them.
        coordinates: Which coordinates.
        born: The half-layer that first writes it; -1 if it is there from the start.
        dies: The half-layer that wipes it, or the block's last.
        source: The line of the user's code.
    """

    name: str
    tokens: str
    block: str
    coordinates: tuple[int, ...]
    born: int
    dies: int
    source: str = ""


@dataclass(frozen=True)
class Allocation:
    """A block's schedule with wipes, and the coordinates of its atoms."""

    schedule: Schedule
    coordinates: dict[Atom, np.ndarray]
    subspaces: tuple[Subspace, ...]
    width: int


def lasting(atoms: Sequence[Atom]) -> dict[Atom, np.ndarray]:
    """Coordinates for what lives through all blocks, one after the other."""
    starts = np.cumsum([0, *(atom.size for atom in atoms)])
    return {
        atom: np.arange(start, start + atom.size)
        for atom, start in zip(atoms, starts, strict=False)
    }


def allocate(
    plan: Schedule, block: str, fixed: dict[Atom, np.ndarray], *, wipe: bool
) -> Allocation:
    """Gives the atoms of a block their coordinates, beyond those of `fixed`.

    Args:
        plan: The block's schedule.
        block: Its name.
        fixed: Coordinates of what lives through all blocks.
        wipe: Whether the block must leave its own coordinates zero, because it is run again.
    """
    end = len(plan.times) - 1
    born, dies = _lifetimes(plan, fixed, end)
    read_after = set(plan.output.terms) if plan.output is not None else set()
    kept = {atom: dies[atom] + int(atom.large or atom in read_after) for atom in born}
    begin = sum(len(places) for places in fixed.values())
    coordinates = dict(fixed)
    free_from: list[int] = []
    order = sorted(born, key=lambda atom: (born[atom], -atom.size, atom.serial))
    peak = _peak(born, kept, end)
    followed: set[Atom] = set()
    holder: dict[int, Atom] = {}
    for atom in order:
        free = [k for k, time in enumerate(free_from) if time <= born[atom]]
        fresh = range(len(free_from), max(len(free_from), peak))
        places = _chosen([*free, *fresh], atom.size)
        for k in places:
            while k >= len(free_from):
                free_from.append(ALWAYS)
            if k in holder:
                followed.add(holder[k])
            holder[k], free_from[k] = atom, kept[atom]
        coordinates[atom] = np.asarray(places) + begin
    rows = [list(row) for row in plan.times]
    for atom in order:
        if wipe or atom in followed:
            rows[dies[atom]].append(_wipe(atom))
    subspaces = tuple(
        Subspace(
            atom.name,
            atom.tokens,
            block,
            tuple(int(c) for c in coordinates[atom]),
            born[atom],
            dies[atom],
            atom.source,
        )
        for atom in order
    )
    done = replace(plan, times=tuple(tuple(row) for row in rows))
    return Allocation(done, coordinates, subspaces, begin + len(free_from))


def _lifetimes(
    plan: Schedule, fixed: dict[Atom, np.ndarray], end: int
) -> tuple[dict[Atom, int], dict[Atom, int]]:
    """The half-layers in which atoms are first written, and in which they can be wiped."""
    born: dict[Atom, int] = {}
    last: dict[Atom, int] = {}
    for time, row in enumerate(plan.times):
        for operation in row:
            for atom, _ in operation.targets:
                if atom not in fixed:
                    born.setdefault(atom, time)
                    last[atom] = max(last.get(atom, time), time)
            for form in operation.reads:
                for atom in form.terms:
                    if atom not in fixed:
                        last[atom] = time
    if plan.output is not None:
        last |= {atom: end for atom in plan.output.terms if atom not in fixed}
    return born, {atom: min(time | 1, end) for atom, time in last.items()}


def _peak(born: dict[Atom, int], kept: dict[Atom, int], end: int) -> int:
    """The largest number of coordinates in use at once; an atom is `kept` until then."""
    live = np.zeros(end + 2, int)
    for atom, start in born.items():
        live[start : max(kept[atom], start + 1)] += atom.size
    return int(live.max(initial=0))


def _chosen(free: list[int], size: int) -> list[int]:
    """`size` of the free places: side by side if possible, the first ones otherwise."""
    free = sorted(free)
    for i in range(len(free) - size + 1):
        if free[i + size - 1] - free[i] == size - 1:
            return free[i : i + size]
    return free[:size]


def _wipe(atom: Atom) -> Wired:
    neurons = Neurons(atom, None, Form.of(atom), eye(atom.size), "wipe")
    return Wired(neurons, ((atom, eye(atom.size, atom.size, -1.0)),))
