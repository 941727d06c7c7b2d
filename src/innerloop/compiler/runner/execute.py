r"""Runs planned layers on stacks: attention, then neurons, a group of tokens at a time.

Axes: `r` residual width, `t` tokens of a group.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from innerloop.compiler.forms import Matrix
from innerloop.compiler.runner import heads
from innerloop.compiler.runner.known import Flags, Known, links, touched, touching
from innerloop.compiler.runner.plan import PlannedLayer, rewritten
from innerloop.compiler.runner.products import Block, Rows
from innerloop.compiler.runner.sparse import SparseHead, SparseNeurons, SparseRamps
from innerloop.compiler.runner.stack import Stack, elementwise, total
from innerloop.kernels import Kernel

Stacks = tuple[Stack, ...]


def through(
    layers: Sequence[PlannedLayer], stacks: Stacks, n: int
) -> tuple[Stacks, Int[Array, "layers 2"]]:
    """The residual stream after some layers, and how often each layer met a ramp, left a domain.

    Args:
        layers: The layers.
        stacks: The residual stream of each group of tokens, `(r, t)`.
        n: The number of context tokens.
    """
    counts = []
    for item in layers:
        stacks = _attention(item, stacks, n)
        hits = [_hits(ramps, stack) for ramps, stack in zip(item.ramps, stacks, strict=True)]
        counts.append(sum(hits[1:], start=hits[0]))
        stacks = _neurons(item, stacks)
    return stacks, jnp.stack(counts) if counts else jnp.zeros((0, 2), int)


def pruned(stack: Stack, known: Known, needed: Flags) -> Stack:
    """Without the rows that nothing needs; they become NaN, so that no mistake goes unseen."""
    gone = known.varying & ~needed
    values = np.where(gone[:, None], np.nan, stack.known).astype(stack.known.dtype)
    return Stack(stack.tokens, values, np.where(gone, -1, stack.owner), stack.place, stack.arrays)


def _attention(item: PlannedLayer, stacks: Stacks, n: int) -> Stacks:
    made = []
    for reader, (stack, needed) in enumerate(zip(stacks, item.middle, strict=True)):
        terms: list[tuple[Rows, Stack]] = [(np.arange(stack.size), stack)]
        for head in item.layer.heads:
            if reader in head.readers:
                terms += _head(head, item, stacks, reader, n)
        whole = total(stack.size, stack.tokens, terms, stack.known.dtype)
        made.append(pruned(whole, item.between[reader], needed).compact())
    return tuple(made)


def _head(
    head: SparseHead, item: PlannedLayer, stacks: Stacks, reader: int, n: int
) -> list[tuple[Rows, Stack]]:
    """What one head adds to the tokens that read, at which coordinates."""
    needed = item.middle[reader]
    found = links(head, item.stream, reader)
    every = np.any([link.values for link in found.values()], axis=0) if found else np.zeros(0)
    coordinates = np.flatnonzero(needed & touched(head.out, every)) if found else np.zeros(0)
    if not coordinates.size:
        return []
    terms = []
    factor = 1.0 / n if head.mean else 1.0
    if head.kernel == Kernel("linear"):
        for source, link in found.items():
            values = link.values & touching(head.out, needed)
            query = stacks[reader].mapped(head.query[link.keys])
            key = stacks[source].mapped(head.key[link.keys])
            value = stacks[source].mapped(head.value[values])
            mixed = heads.linear(query, key, value)
            out = mixed.mapped(head.out[coordinates][:, values])
            terms.append((coordinates, heads.scaled(out, factor)))
        return terms
    keys = next(iter(found.values())).keys
    query = stacks[reader].mapped(head.query[keys])
    read = [stacks[source] for source in found]
    mixed = heads.weighted(
        head.kernel,
        query,
        [stack.mapped(head.key[keys]) for stack in read],
        [stack.mapped(head.value[every]) for stack in read],
    )
    out = Stack.of_array(mixed).mapped(head.out[coordinates][:, every])
    return [(coordinates, heads.scaled(out, factor))]


def _neurons(item: PlannedLayer, stacks: Stacks) -> Stacks:
    made = []
    for role, stack in enumerate(stacks):
        divided, known, needed = item.divided[role], item.after[role], item.needed[role]
        there = needed | ~known.varying
        changed = rewritten(divided)
        kept, new = np.flatnonzero(~changed), np.flatnonzero(changed & there)
        terms = [(kept, stack.rows(kept))]
        if new.size:
            terms.append((new, stack.mapped(divided.linear[new], divided.shift[new])))
        curves, others = item.curved[role]
        if others.rectified.size:
            terms.append(_added(_hidden(others, stack), others.out, needed))
        terms += [_added(Stack.of_array(c.of(stack)), c.out, needed) for c in curves]
        whole = total(stack.size, stack.tokens, terms, stack.known.dtype)
        made.append(pruned(whole, known, needed).compact())
    return tuple(made)


def _added(hidden: Stack, out: Matrix, needed: Flags) -> tuple[Rows, Stack]:
    """What is needed of `out @ hidden`, and where."""
    rows = np.flatnonzero(needed & (np.diff(out.indptr) > 0))
    return rows, hidden.mapped(out[rows])


def _hidden(neurons: SparseNeurons, stack: Stack) -> Stack:
    """The activations of neurons."""
    gate = stack.mapped(neurons.gate, neurons.gate_bias[:, None])
    value = stack.mapped(neurons.value, neurons.value_bias[:, None])
    parts = []
    for rectified, activation in ((True, _gated), (False, _multiplied)):
        rows = np.flatnonzero(neurons.rectified == rectified)
        if rows.size:
            parts.append((rows, elementwise(activation, gate.rows(rows), value.rows(rows))))
    return Stack.of_parts(gate.size, gate.tokens, parts, gate.known.dtype)


def _gated(gate: Block | np.ndarray, value: Block | np.ndarray) -> Block | np.ndarray:
    opened = np.maximum(gate, 0.0) if isinstance(gate, np.ndarray) else jax.nn.relu(gate)
    return _multiplied(opened, value)


def _multiplied(gate: Block | np.ndarray, value: Block | np.ndarray) -> Block | np.ndarray:
    return gate if isinstance(value, np.ndarray) and (value == 1.0).all() else gate * value


def _hits(ramps: SparseRamps, stack: Stack) -> Int[Array, " 2"]:
    """How many readings lie in a ramp, and how many outside a domain."""
    counts = jnp.zeros(2, int)
    if not ramps.low.size:
        return counts
    for rows, block in stack.mapped(ramps.rows).parts():
        value = jnp.broadcast_to(jnp.asarray(block), (len(rows), stack.tokens))
        low, high, jump = (
            leaf[rows, None].astype(stack.known.dtype)
            for leaf in (ramps.low, ramps.high, ramps.jump)
        )
        limit, outside = ramps.tokens[rows, None], ramps.outside[rows, None]
        counted = (limit == 0) | (np.arange(stack.tokens)[None] < limit)
        met = (low < value) & (value < high) & (value != jump) & counted
        counts = counts + jnp.stack([jnp.sum(met & ~outside), jnp.sum(met & outside)])
    return counts
