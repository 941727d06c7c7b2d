r"""Gates that heads of ReLU attention open: no half-layer of neurons before them.

A head on the registers whose keys are their names sums over the entries of its query,
`sum_r v_r [x_r > 0] W_r`. As ReLU scores the gates cost nothing, with `off` zero where one is open
and at least one where it is closed:

    v [x > 0] = relu(v - M off) - relu(-v - M off)          exact for |v| <= M

so a head may read `v` and `off`, and need not wait for their product. It is taken where a forward
pass gets shallower, and only in ReLU attention, where any linear head is two of ReLU scores anyway.
Axes: `s` size of a gated form, `k` key size, `R` registers.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from innerloop.compiler.forms import Atom, Form, Matrix, matrix
from innerloop.compiler.graph import Flags, Head
from innerloop.compiler.neurons import LayerOperation, Neurons
from innerloop.compiler.planning import Block, Blocks
from innerloop.kernels import Kernel

_MOST = 1e12
"""The largest value that a closed gate keeps out, `M`; it is multiplied by zero in open ones."""


def gated_heads(blocks: Blocks, flags: Flags, steps: int) -> Blocks:
    """The blocks with as many gates in heads as make them shallower, and no more.

    Args:
        blocks: The three blocks.
        flags: Where constants and names are.
        steps: How many steps a forward pass takes.
    """

    def changed(which: Collection[Head]) -> Blocks:
        return replace(blocks, step=_changed(blocks.step, which, flags))

    gates = _gates(blocks.step)
    chosen = [
        operation
        for operation in blocks.step.operations
        if isinstance(operation, Head) and len(_parts(operation, gates, flags)) > 1
    ]
    if not chosen or changed(chosen).depth(steps) >= blocks.depth(steps):
        return blocks
    least = changed(chosen).depth(steps)
    for head in tuple(chosen):
        fewer = [other for other in chosen if other is not head]
        if changed(fewer).depth(steps) <= least:
            chosen = fewer
    return changed(chosen)


def _changed(block: Block, which: Collection[Head], flags: Flags) -> Block:
    """A block in which these heads open gates."""
    gates, made = _gates(block), []
    for operation in block.operations:
        if isinstance(operation, Head) and operation in which:
            made += _parts(operation, gates, flags)
        else:
            made.append(operation)
    return replace(block, operations=tuple(made))


def _gates(block: Block) -> dict[Atom, Neurons]:
    """The gates of a block, by what they write."""
    made: dict[Atom, list[LayerOperation]] = {}
    for operation in block.operations:
        made.setdefault(operation.out, []).append(operation)
    found = {}
    for out, (first, *others) in made.items():
        if isinstance(first, Neurons) and first.computes == "gate" and first.value and not others:
            found[out] = first
    return found


def _parts(head: Head, gates: Mapping[Atom, Neurons], flags: Flags) -> list[Head]:
    """The head without the gates that it can open, and a pair of heads for each of these."""
    names = head.key.terms.get(flags.name)
    if head.kernel.name != "linear" or head.mean or names is None or len(head.key.terms) > 1:
        return [head]
    opened, query = [], head.query
    for atom, weights in head.query.terms.items():
        seen = _seen(matrix(weights.T @ names))
        if atom in gates and seen is not None:
            sign, key = seen
            query = query.without(atom)
            opened += _pair(head, gates[atom], flags, key, sign)
    rest = [replace(head, query=query)] if query.terms else []
    return [*rest, *opened] if opened else [head]


def _seen(scores: Matrix) -> tuple[float, Matrix] | None:
    """The sign and the absolute values of scores that see one entry each, `(s, R)`; else None."""
    signs = np.unique(np.sign(scores.data))
    if len(signs) != 1 or np.diff(scores.tocsc().indptr).max() > 1:
        return None
    return float(signs[0]), matrix(abs(scores))


def _pair(head: Head, gate: Neurons, flags: Flags, key: Matrix, sign: float) -> list[Head]:
    """Two heads of ReLU scores whose difference is the head on what the gate lets pass."""
    assert gate.gate is not None and gate.value is not None
    closed = gate.gate.without(flags.one).scaled(_MOST)
    return [
        replace(
            head,
            query=gate.value.scaled(side) + closed,
            key=Form("register", gate.value.size, {flags.name: key}),
            value=head.value.scaled(side * sign),
            kernel=Kernel("relu"),
            computes=f"{head.computes}, gated ({words})",
        )
        for side, words in ((1.0, "plus"), (-1.0, "minus"))
    ]
