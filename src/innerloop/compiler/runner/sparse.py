r"""A bank of blocks with its zeros left out.

Padding is dropped, matrices are sparse, and neurons that only rectify to add the two halves up
again are joined:

    relu(a) b u - relu(-a) b u  =  a b u

Axes: `r` residual width, `h` heads, `k` key size, `v` value size, `f` neurons, `l` layers.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from innerloop.compiler.assemble import Ramps
from innerloop.compiler.entries import entries_of
from innerloop.compiler.forms import Matrix, dims, matrix
from innerloop.kernels import Kernel
from innerloop.models import MLP, Attention, Block, Transformer

UNDERSTOOD: dict[type, set[str]] = {
    Attention: {"W_Q", "W_K", "W_V", "W_O", "averages", "readers", "sources", "kernel"},
    MLP: {"W_in", "b_in", "W_out", "b_out", "W_gate", "b_gate", "activation"},
    Block: {"attention", "mlp", "norms"},
    Transformer: {"blocks", "order"},
}
"""The fields of models that the runner knows; a test says when there are others."""


class SparseHead(NamedTuple):
    """One head, `out (sum_j kernel(key_j, query_i) value_j)`, and who reads and writes."""

    kernel: Kernel
    query: Matrix
    key: Matrix
    value: Matrix
    out: Matrix
    mean: bool
    readers: tuple[int, ...]
    sources: tuple[int, ...]


class SparseNeurons(NamedTuple):
    """`out (gate * value) + shift`, with the gate rectified in some of the neurons."""

    gate: Matrix
    gate_bias: np.ndarray
    value: Matrix
    value_bias: np.ndarray
    rectified: np.ndarray
    out: Matrix
    shift: np.ndarray

    def chosen(self, neurons: np.ndarray) -> "SparseNeurons":
        """Some of the neurons."""
        return SparseNeurons(
            self.gate[neurons],
            self.gate_bias[neurons],
            self.value[neurons],
            self.value_bias[neurons],
            self.rectified[neurons],
            self.out[:, neurons],
            self.shift,
        )


class SparseRamps(NamedTuple):
    """Ramps of one layer.

    What is read, between where, the exact point in between, how many tokens count (of registers),
    and whether the ramp is what lies beyond a domain.
    """

    rows: Matrix
    low: np.ndarray
    high: np.ndarray
    jump: np.ndarray
    tokens: np.ndarray
    outside: np.ndarray

    def chosen(self, rows: np.ndarray) -> "SparseRamps":
        """Some of the ramps."""
        _, *others = self
        return SparseRamps(matrix(self.rows[rows]), *(leaf[rows] for leaf in others))


class SparseLayer(NamedTuple):
    """One block of the bank; its ramps in data tokens, and in registers."""

    heads: tuple[SparseHead, ...]
    neurons: SparseNeurons
    ramps: tuple[SparseRamps, SparseRamps]


def not_understood() -> set[str]:
    """The fields of models that are unknown here: with any of them, every model runs dense."""
    return {
        f"{kind.__name__}.{field.name}"
        for kind, known in UNDERSTOOD.items()
        for field in dataclasses.fields(kind)
        if field.name not in known
    }


def is_understood(blocks: Block) -> bool:
    """Whether a bank has no part that is unknown here."""
    plain = blocks.mlp is not None and blocks.mlp.activation in ("relu", "reglu")
    return not not_understood() and plain and blocks.norms is None


def sparse_layers(blocks: Block, ramps: Ramps, roles: int) -> list[SparseLayer]:
    """The layers of a bank, one by one.

    Args:
        blocks: A bank without LayerNorms, of ReLU or ReGLU neurons; numpy or concrete JAX arrays.
        ramps: The ramps of each layer.
        roles: How many kinds of tokens there are, the sink being the last.
    """
    assert blocks.mlp is not None
    neurons = _neurons(blocks.mlp)
    heads = [_heads(attention, len(neurons), roles) for attention in blocks.attention]
    return [
        SparseLayer(
            tuple(head for bank in heads for head in bank[layer]),
            neurons[layer],
            (_ramps(ramps, layer, registers=False), _ramps(ramps, layer, registers=True)),
        )
        for layer in range(len(neurons))
    ]


def patterns(layer: SparseLayer) -> int:
    """In how many ways coordinates are used: few in compiled weights, one in dense ones."""
    read, written = [layer.neurons.gate, layer.neurons.value], [layer.neurons.out]
    for head in layer.heads:
        read += [head.query, head.key, head.value]
        written.append(head.out)
    used = [np.diff(sp.csc_array(weights).indptr) > 0 for weights in read]
    used += [np.diff(weights.indptr) > 0 for weights in written]
    return np.unique(np.stack(used), axis=1).shape[1]


def _heads(attention: Attention, layers: int, roles: int) -> list[list[SparseHead]]:
    """By layer, the heads that write something."""
    weights = [np.asarray(w) for w in (attention.W_Q, attention.W_K, attention.W_V, attention.W_O)]
    averages, readers, sources = (
        np.asarray(mask) for mask in (attention.averages, attention.readers, attention.sources)
    )
    bank: list[list[SparseHead]] = []
    for layer in range(layers):
        row = []
        for h in range(averages.shape[1]):
            query, key, value, out = (matrix(w[layer, h]) for w in weights)
            if value.nnz and out.nnz:
                reading = tuple(int(role) for role in np.flatnonzero(readers[layer, h, :roles]))
                read = tuple(int(role) for role in np.flatnonzero(sources[layer, h, :roles]))
                mean = bool(averages[layer, h])
                row.append(
                    SparseHead(attention.kernel, query, key, value, out, mean, reading, read)
                )
        bank.append(row)
    return bank


def _neurons(mlp: MLP) -> list[SparseNeurons]:
    """By layer; in a ReLU MLP the gate is what is rectified, and the value is one."""
    made = []
    gated = mlp.W_gate is not None and mlp.b_gate is not None
    first, out = entries_of(mlp.W_in), entries_of(mlp.W_out)
    gates = entries_of(mlp.W_gate) if mlp.W_gate is not None else first
    shift, bias = np.asarray(mlp.b_out), np.asarray(mlp.b_in)
    gate_bias = np.asarray(mlp.b_gate) if mlp.b_gate is not None else bias
    for layer in range(len(shift)):
        neurons = SparseNeurons(
            gates[layer],
            gate_bias[layer],
            first[layer] if gated else matrix(dims(first[layer])),
            bias[layer] if gated else np.ones_like(bias[layer]),
            np.ones(bias.shape[1], bool),
            out[layer],
            shift[layer],
        )
        used = np.flatnonzero(np.diff(sp.csc_array(neurons.out).indptr))
        made.append(_joined(neurons.chosen(used)))
    return made


def _joined(neurons: SparseNeurons) -> SparseNeurons:
    """The same with every pair `relu(a) b u - relu(-a) b u` as one neuron that does not rectify."""
    alike = _alike(neurons)
    few = neurons.chosen(alike)
    gates, values = _rows(few.gate, few.gate_bias), _rows(few.value, few.value_bias)
    outs = _rows(matrix(few.out.T), np.zeros(len(alike)))
    waiting: dict[tuple, list[int]] = {}
    rectified, kept = neurons.rectified.copy(), np.ones(len(neurons.rectified), bool)
    for i, gate, value, out in zip(alike, gates, values, outs, strict=True):
        same = waiting.get((gate[1], value[1], out[0])) or waiting.get((gate[1], value[0], out[1]))
        if same:
            rectified[same.pop()] = kept[i] = False
        else:
            waiting.setdefault((gate[0], value[0], out[0]), []).append(i)
    return neurons._replace(rectified=rectified).chosen(np.flatnonzero(kept))


def _alike(neurons: SparseNeurons) -> np.ndarray:
    """The neurons that another one may mirror: sums with random weights agree up to sign."""
    probe = np.random.default_rng(0).normal(size=dims(neurons.out)[0] + 1)
    sums = np.stack(
        [
            neurons.gate @ probe[1:] + neurons.gate_bias * probe[0],
            neurons.value @ probe[1:] + neurons.value_bias * probe[0],
            neurons.out.T @ probe[1:],
        ]
    )
    _, number, counts = np.unique(np.abs(sums), axis=1, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[number.ravel()] > 1)


def _rows(weights: Matrix, bias: np.ndarray) -> Sequence[tuple[bytes, bytes]]:
    """For each row, what identifies it, and what identifies its negative."""
    keys = []
    for i, (start, stop) in enumerate(zip(weights.indptr, weights.indptr[1:], strict=False)):
        places = weights.indices[start:stop].astype(np.int64).tobytes()
        numbers = np.append(weights.data[start:stop], bias[i])
        keys.append((places + (numbers + 0.0).tobytes(), places + (0.0 - numbers).tobytes()))
    return keys


def _ramps(ramps: Ramps, layer: int, *, registers: bool) -> SparseRamps:
    here = Ramps(*(np.asarray(leaf)[layer] for leaf in ramps))
    found = np.flatnonzero((here.low < here.high) & ((here.registers > 0) == registers))
    here = Ramps(*(leaf[found] for leaf in here))
    return SparseRamps(
        matrix(here.rows), here.low, here.high, here.jump, here.registers, here.outside
    )
