r"""Dense weights in the ordinary form. The only file that knows where a coordinate is.

Every head and every group of neurons reads forms; a form becomes rows of a weight matrix by placing
its matrices at the coordinates of its atoms. Layers are padded to equal numbers of heads and
neurons, so that they stack.
Axes: `l` layers of the bank, `h` heads, `k` key size, `v` value size, `f` neurons, `r` width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from innerloop.compiler.allocate import Allocation
from innerloop.compiler.entries import bank_of
from innerloop.compiler.forms import Form, Matrix, Tokens, dims, matrix
from innerloop.compiler.graph import Head
from innerloop.compiler.neurons import Neurons
from innerloop.compiler.wiring import Wired
from innerloop.kernels import Kernel
from innerloop.models import MLP, Attention, Block
from innerloop.tokens import REGISTER_ROLE, ROLES, SINK_ROLE

Layer = tuple[list[Wired], list[Wired]]
_EVERY = np.iinfo(np.int32).max


class Ramps(NamedTuple):
    """Readings of the residual stream, and the intervals in which a jump is not exact.

    Args:
        rows: `(l, q, r)`, what is read.
        low: `(l, q)`, where the ramp begins.
        high: `(l, q)`, where it ends; equal to `low` for padding.
        jump: `(l, q)`, where the jump itself is; there it is exact.
        registers: `(l, q)`, how many registers are read, or 0 for data tokens.
        outside: `(l, q)`, whether the interval lies beyond the domain of a spline.
    """

    rows: np.ndarray
    low: np.ndarray
    high: np.ndarray
    jump: np.ndarray
    registers: np.ndarray
    outside: np.ndarray


@dataclass(frozen=True)
class Assembled:
    """A bank of blocks, and the ramps to watch before the MLP of each."""

    blocks: Block
    ramps: Ramps


def rows_of(form: Form, allocation: Allocation, width: int) -> Matrix:
    """The rows of a weight matrix that read a form, `(s, r)`."""
    total = matrix((form.size, width))
    for atom, weights in form.terms.items():
        total = matrix(total + _placed(weights, allocation.coordinates[atom], width))
    return total


def _placed(weights: Matrix, coordinates: np.ndarray, width: int) -> Matrix:
    """Columns of `weights` moved to the coordinates of an atom."""
    entries = sp.coo_array(weights)
    return matrix(
        (entries.data, (entries.row, coordinates[entries.col])), (dims(weights)[0], width)
    )


def assemble(allocations: Sequence[Allocation], width: int, *, dtype: str, mlp: str) -> Assembled:
    """Stacks all layers of all blocks into one bank."""
    layers = [
        (allocation, _layer(allocation, index))
        for allocation in allocations
        for index in range(allocation.schedule.depth)
    ]
    kernels = [Kernel("linear")] + sorted(
        {
            item.operation.kernel
            for _, (heads, _) in layers
            for item in heads
            if isinstance(item.operation, Head) and item.operation.kernel.name != "linear"
        },
        key=str,
    )
    attention = tuple(_attention(layers, kernel, width, dtype) for kernel in kernels)
    neurons = _mlp(layers, width, dtype, mlp)
    return Assembled(
        Block(tuple(a for a in attention if a is not None), neurons), _ramps(layers, width)
    )


def _layer(allocation: Allocation, index: int) -> Layer:
    times = allocation.schedule.times
    return list(times[2 * index]), list(times[2 * index + 1])


def _attention(
    layers: Sequence[tuple[Allocation, Layer]], kernel: Kernel, width: int, dtype: str
) -> Attention | None:
    chosen = [
        [
            item
            for item in heads
            if isinstance(item.operation, Head) and item.operation.kernel == kernel
        ]
        for _, (heads, _) in layers
    ]
    flat = [item.operation for row in chosen for item in row if isinstance(item.operation, Head)]
    if not flat:
        return None
    h = max(len(row) for row in chosen)
    k = max(head.key.size for head in flat)
    v = max(head.value.size for head in flat)
    l = len(layers)  # noqa: E741 (the glossary's letter for layers)
    W_Q, W_K, W_V = (np.zeros((l, h, s, width), dtype) for s in (k, k, v))
    W_O = np.zeros((l, h, width, v), dtype)
    averages = np.zeros((l, h), bool)
    readers, sources = (np.zeros((l, h, len(ROLES)), bool) for _ in range(2))
    for i, (row, (allocation, _)) in enumerate(zip(chosen, layers, strict=True)):
        for j, item in enumerate(row):
            head = item.operation
            assert isinstance(head, Head)
            for weights, form in ((W_Q, head.query), (W_K, head.key), (W_V, head.value)):
                weights[i, j, : form.size] = rows_of(form, allocation, width).toarray()
            for atom, out in item.targets:
                W_O[i, j, allocation.coordinates[atom], : head.value.size] += out.toarray()
            averages[i, j] = head.mean
            readers[i, j] = _roles(head.query.tokens, readers=True)
            sources[i, j] = _roles(head.key.tokens, readers=False)
            sources[i, j, SINK_ROLE] = head.sink
    return Attention(W_Q, W_K, W_V, W_O, averages, readers, sources, kernel)


def _roles(tokens: Tokens, *, readers: bool) -> list[bool]:
    """By role; queries read like any data token, and are never read."""
    if tokens == "register":
        return [role == REGISTER_ROLE for role in range(len(ROLES))]
    return [True, readers, False, False]


def _mlp(layers: Sequence[tuple[Allocation, Layer]], width: int, dtype: str, mlp: str) -> MLP:
    """All neurons, layer by layer, padded to equal numbers."""
    gated = mlp == "reglu"
    weigh = _neuron_weights if gated else _hinge_weights
    rows = [
        _joined([weigh(item, allocation, width) for item in group], width)
        for allocation, (_, group) in layers
    ]
    f = max(dims(row.value)[0] for row in rows)
    values, gates, outs = (
        [getattr(row, part) for row in rows] for part in ("value", "gate", "out")
    )
    b_in, b_gate = np.zeros((2, len(layers), f), dtype)
    for i, row in enumerate(rows):
        b_in[i, : len(row.value_bias)] = row.value_bias
        b_gate[i, : len(row.gate_bias)] = row.gate_bias
    return MLP(
        bank_of(values, (f, width), dtype),
        b_in,
        bank_of(outs, (width, f), dtype),
        np.zeros((len(layers), width), dtype),
        bank_of(gates, (f, width), dtype) if gated else None,
        b_gate if gated else None,
        activation=mlp,
    )


class _Weights(NamedTuple):
    """Value rows and bias, gate rows and bias, output columns."""

    value: Matrix
    value_bias: np.ndarray
    gate: Matrix
    gate_bias: np.ndarray
    out: Matrix


def _joined(groups: Sequence[_Weights], width: int) -> _Weights:
    """The weights of several groups as those of one."""
    if not groups:
        return _Weights(
            matrix((0, width)), np.zeros(0), matrix((0, width)), np.zeros(0), matrix((width, 0))
        )
    value, value_bias, gate, gate_bias, out = zip(*groups, strict=True)
    return _Weights(
        matrix(sp.vstack(value)),
        np.concatenate(value_bias),
        matrix(sp.vstack(gate)),
        np.concatenate(gate_bias),
        matrix(sp.hstack(out)),
    )


def _neuron_weights(item: Wired, allocation: Allocation, width: int) -> _Weights:
    """One group; what copies has a gate of one."""
    neurons = item.operation
    assert isinstance(neurons, Neurons)
    out = matrix((width, neurons.count))
    for atom, weights in item.targets:
        placed = _placed(matrix((weights @ neurons.weights).T), allocation.coordinates[atom], width)
        out = matrix(out + placed.T)
    nothing = matrix((neurons.count, width))
    gate = nothing if neurons.gate is None else rows_of(neurons.gate, allocation, width)
    value = nothing if neurons.value is None else rows_of(neurons.value, allocation, width)
    ones = np.ones(neurons.count)
    return _Weights(value, ones * (neurons.value is None), gate, ones * (neurons.gate is None), out)


def _hinge_weights(item: Wired, allocation: Allocation, width: int) -> _Weights:
    """The same without gates: what copies has a twin, `v = relu(v) - relu(-v)`."""
    value, _, gate, _, out = _neuron_weights(item, allocation, width)
    neurons = item.operation
    assert isinstance(neurons, Neurons)
    if neurons.value is not None:
        assert neurons.gate is None, "a ReLU MLP has no products"
        gate, out = matrix(sp.vstack([value, -value])), matrix(sp.hstack([out, -out]))
    nothing = np.zeros(dims(gate)[0])
    return _Weights(gate, nothing, matrix(dims(gate)), nothing, out)


def _ramps(layers: Sequence[tuple[Allocation, Layer]], width: int) -> Ramps:
    """All ramps of all layers, padded with empty intervals."""
    found = [
        [
            ramp
            for item in group
            if isinstance(item.operation, Neurons)
            for ramp in item.operation.ramps
        ]
        for _, (_, group) in layers
    ]
    q = max(sum(ramp.base.size for ramp in row) for row in found)
    l = len(layers)  # noqa: E741
    rows = np.zeros((l, q, width))
    low, high, jump = (np.zeros((l, q)) for _ in range(3))
    registers, outside = np.zeros((l, q), np.int32), np.zeros((l, q), bool)
    for i, (row, (allocation, _)) in enumerate(zip(found, layers, strict=True)):
        start = 0
        for ramp in row:
            here = slice(start, start + ramp.base.size)
            rows[i, here] = rows_of(ramp.base, allocation, width).toarray()
            low[i, here], high[i, here], jump[i, here] = ramp.low, ramp.high, ramp.jump
            if ramp.base.tokens == "register":
                registers[i, here] = ramp.rows or _EVERY
            outside[i, here] = ramp.outside
            start = here.stop
    return Ramps(rows, low, high, jump, registers, outside)
