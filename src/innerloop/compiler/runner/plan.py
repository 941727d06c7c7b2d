r"""What has to be computed: of every group of tokens, only what reaches a prediction.

Knowledge runs forwards through the layers, need runs backwards; for layers that run again and again
both are what holds for every run. A query whose stream no prediction reads before the read-out is
not computed before the read-out.
Axes: `r` residual width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from innerloop.compiler.runner.known import (
    Divided,
    Flags,
    Followed,
    Known,
    Stream,
    follow,
    links,
    settle,
    touched,
    touching,
)
from innerloop.compiler.runner.piecewise import Curved, curved
from innerloop.compiler.runner.sparse import SparseLayer, SparseRamps
from innerloop.tokens import REGISTER_ROLE, SINK_ROLE

Needs = tuple[Flags, ...]


class PlannedLayer(NamedTuple):
    """One layer with what is known and what is needed around both of its halves.

    Args:
        layer: The weights.
        stream: What is known before attention.
        between: What is known after it.
        middle: What is needed after attention.
        divided: By group, the neurons.
        curved: By group, those of the neurons that bend and are needed.
        after: What is known after the neurons.
        needed: What is needed after the neurons.
        ramps: By group, the ramps to watch.
    """

    layer: SparseLayer
    stream: Stream
    between: Stream
    middle: Needs
    divided: tuple[Divided, ...]
    curved: tuple[Curved, ...]
    after: Stream
    needed: Needs
    ramps: tuple[SparseRamps, ...]


class Plan(NamedTuple):
    """The layers before the steps, those of one step, and those of the read-out.

    Args:
        start: The layers before the steps.
        step: The layers of one step.
        read_out: The layers of the read-out.
        state: What is known before every step and after the last.
        kept: What is needed there.
        carried: What of it a step changes.
    """

    start: list[PlannedLayer]
    step: list[PlannedLayer]
    read_out: list[PlannedLayer]
    state: Stream
    kept: Needs
    carried: Needs


def plan(
    start: Sequence[SparseLayer],
    step: Sequence[SparseLayer],
    read_out: Sequence[SparseLayer],
    begin: Stream,
    read: Needs,
    dtype: str,
) -> Plan:
    """Follows knowledge and need.

    Args:
        start: The layers before the steps.
        step: The layers of one step.
        read_out: The layers of the read-out.
        begin: What is known before the first layer.
        read: What is read after the last.
        dtype: The precision of the run.
    """
    first = follow(start, begin)
    state = settle(step, first.end)
    loop, last = follow(step, state), follow(read_out, state)
    read = tuple(rows & known.varying for rows, known in zip(read, last.end, strict=True))
    kept = _backwards(read_out, last, read)[0]
    while True:
        before = _backwards(step, loop, kept)[0]
        more = tuple(a | b for a, b in zip(kept, before, strict=True))
        if all((a == b).all() for a, b in zip(kept, more, strict=True)):
            break
        kept = more
    planned = _planned(step, loop, kept, dtype)
    changed = _changed(planned, state)
    carried = tuple(a & b for a, b in zip(kept, changed, strict=True))
    return Plan(
        _planned(start, first, kept, dtype),
        planned,
        _planned(read_out, last, read, dtype),
        state,
        kept,
        carried,
    )


def _backwards(layers: Sequence[SparseLayer], known: Followed, needed: Needs) -> list[Needs]:
    """What is needed before the first half-layer and after each one."""
    history = [needed]
    for index in reversed(range(len(layers))):
        history.append(_before_neurons(known.divided[index], known.between[index], history[-1]))
        history.append(_before_heads(layers[index], known.before[index], history[-1]))
    return history[::-1]


def _planned(
    layers: Sequence[SparseLayer], known: Followed, needed: Needs, dtype: str
) -> list[PlannedLayer]:
    """The layers with their needs."""
    needs = _backwards(layers, known, needed)
    made = []
    for index, layer in enumerate(layers):
        between, middle, end = known.between[index], needs[2 * index + 1], needs[2 * index + 2]
        ramps = tuple(
            _observable(_watched(layer, role), stream, there)
            for role, (stream, there) in enumerate(zip(between, middle, strict=True))
        )
        made.append(
            PlannedLayer(
                layer,
                known.before[index],
                between,
                middle,
                known.divided[index],
                tuple(
                    _curved(divided, stream, rows, dtype)
                    for divided, stream, rows in zip(
                        known.divided[index], between, end, strict=True
                    )
                ),
                known.after[index],
                end,
                ramps,
            )
        )
    return made


def _curved(divided: Divided, known: Known, needed: Flags, dtype: str) -> Curved:
    """The neurons that bend and reach what is needed."""
    active = np.flatnonzero(touching(divided.bent.out, needed))
    return curved(divided.bent.chosen(active), known, dtype)


def _before_neurons(divided: tuple[Divided, ...], stream: Stream, after: Needs) -> Needs:
    """What neurons must find, so that `after` comes out right."""
    found = []
    for (linear, _, bent), known, rows in zip(divided, stream, after, strict=True):
        active = touching(bent.out, rows)
        before = touching(linear, rows) | touching(bent.gate, active) | touching(bent.value, active)
        found.append(before & known.varying)
    return tuple(found)


def _before_heads(layer: SparseLayer, stream: Stream, after: Needs) -> Needs:
    """What attention must find, so that `after` comes out right."""
    before = [rows.copy() for rows in after]
    for head in layer.heads:
        for reader in head.readers:
            wanted = touching(head.out, after[reader])
            found = links(head, stream, reader)
            if not any((link.values & wanted).any() for link in found.values()):
                continue
            for source, link in found.items():
                before[reader] |= touching(head.query, link.keys)
                before[source] |= touching(head.key, link.keys)
                before[source] |= touching(head.value, link.values & wanted)
    return tuple(rows & known.varying for rows, known in zip(before, stream, strict=True))


def _watched(layer: SparseLayer, role: int) -> SparseRamps:
    """The ramps of a group of tokens; a sink has none."""
    data, registers = layer.ramps
    if role == SINK_ROLE:
        return data.chosen(np.zeros(0, int))
    return registers if role == REGISTER_ROLE else data


def _observable(ramps: SparseRamps, known: Known, there: Flags) -> SparseRamps:
    """The ramps whose readings are computed anyway: others reach no prediction."""
    return ramps.chosen(np.flatnonzero(~touched(ramps.rows, known.varying & ~there)))


def _changed(layers: Sequence[PlannedLayer], state: Stream) -> Needs:
    """The coordinates that layers write."""
    changed = [np.zeros(len(known.varying), bool) for known in state]
    for item in layers:
        for head in item.layer.heads:
            for reader in head.readers:
                for link in links(head, item.stream, reader).values():
                    changed[reader] |= touched(head.out, link.values)
        for rows, divided in zip(changed, item.divided, strict=True):
            rows |= rewritten(divided)
    return tuple(changed)


def rewritten(divided: Divided) -> Flags:
    """The coordinates that neurons change."""
    linear, shift, bent = divided
    kept = np.diff(linear.indptr) == 1
    kept &= linear.diagonal() == 1.0
    return ~kept | shift.any(axis=1) | (np.diff(bent.out.indptr) > 0)
