r"""What is known of the residual stream before any prompt is seen.

In each group of tokens a coordinate is either known, most often to be zero, or varies with the
prompt. Knowledge is followed through the layers; for layers that run again and again it is what
holds before every one of their runs.
Axes: `r` residual width; `c` columns, 1 where all tokens of a group know the same, else one a
token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from innerloop.compiler.forms import Matrix, dims, eye, matrix
from innerloop.compiler.runner.sparse import SparseHead, SparseLayer, SparseNeurons

Numbers = Float[np.ndarray, "_ _"]
Flags = Bool[np.ndarray, " _"]


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of some rows in one group of tokens.

    Args:
        values: Their values; zero where they vary.
        varying: Whether they vary with the prompt.
    """

    values: Numbers
    varying: Flags

    @property
    def nonzero(self) -> Flags:
        """Which rows may be other than zero."""
        return self.varying | self.values.any(axis=1)

    def mapped(self, weights: Matrix, bias: np.ndarray | None = None) -> "Known":
        """What is known of `weights @ rows + bias`."""
        varying = touched(weights, self.varying)
        values = weights @ self.values
        if bias is not None:
            values = values + bias[:, None]
        return Known(np.where(varying[:, None], 0.0, values), varying)

    def joined(self, other: "Known") -> "Known":
        """What is known where either holds."""
        same = (self.values == other.values).all(axis=1)
        varying = self.varying | other.varying | ~same
        return Known(np.where(varying[:, None], 0.0, self.values), varying)


Stream = tuple[Known, ...]
"""By role: what is known of context tokens, query tokens, registers, and of a sink."""


def touched(weights: Matrix, columns: Flags) -> Flags:
    """Which rows of a matrix have an entry in one of the columns."""
    found = np.concatenate([[0], np.cumsum(columns[weights.indices])])
    return np.diff(found[weights.indptr]) > 0


def touching(weights: Matrix, rows: Flags) -> Flags:
    """Which columns of a matrix have an entry in one of the rows."""
    columns = np.zeros(dims(weights)[1], bool)
    columns[weights.indices[np.repeat(rows, np.diff(weights.indptr))]] = True
    return columns


class Links(NamedTuple):
    """The entries of key and value through which a head carries something."""

    keys: Flags
    values: Flags


def links(head: SparseHead, stream: Stream, reader: int) -> dict[int, Links]:
    """By the group that is read: the entries that matter to one group of readers.

    Every group that a normalised head reads matters, for its share of the weights.
    """
    query = stream[reader].mapped(head.query).nonzero
    key = {source: stream[source].mapped(head.key).nonzero for source in head.sources}
    value = {source: stream[source].mapped(head.value).nonzero for source in head.sources}
    match head.kernel.name:
        case "linear":
            keys = {source: query & key[source] for source in head.sources}
            value = {source: value[source] & keys[source].any() for source in head.sources}
        case "rbf":
            together = query | np.any([*key.values()], axis=0)
            keys = {source: together for source in head.sources}
        case _:
            together = query & np.any([*key.values()], axis=0)
            keys = {source: together for source in head.sources}
    found = {s: Links(keys[s], value[s]) for s in head.sources}
    if not any(link.values.any() for link in found.values()):
        return {}
    whole = head.kernel.normalised
    return {s: link for s, link in found.items() if whole or link.values.any()}


class Divided(NamedTuple):
    """Neurons of one group of tokens: a linear map of the whole stream, and those that bend."""

    linear: Matrix
    shift: Numbers
    bent: SparseNeurons


def divide(neurons: SparseNeurons, known: Known) -> Divided:
    """Separates neurons whose gate is known, and folds them into the residual connection.

    A coordinate that neurons wipe and nothing else keeps has an empty row in the linear map.
    """
    gate = known.mapped(neurons.gate, neurons.gate_bias)
    value = known.mapped(neurons.value, neurons.value_bias)
    opened = np.where(neurons.rectified[:, None], np.maximum(gate.values, 0.0), gate.values)
    silent = (~gate.varying & ~opened.any(axis=1)) | ~value.nonzero
    by_gate = ~silent & ~gate.varying & _even(opened)
    by_value = ~silent & ~by_gate & ~neurons.rectified & ~value.varying & _even(value.values)
    width, _ = dims(neurons.out)
    linear, shift = eye(width), neurons.shift[:, None] * np.ones((1, known.values.shape[1]))
    for chosen, factors, read, bias in (
        (by_gate, opened, neurons.value, neurons.value_bias),
        (by_value, value.values, neurons.gate, neurons.gate_bias),
    ):
        here = np.flatnonzero(chosen)
        out = matrix(neurons.out[:, here] * factors[here, 0])
        linear = matrix(linear + out @ read[here])
        shift = shift + (out @ bias[here])[:, None]
    bent = neurons.chosen(np.flatnonzero(~silent & ~by_gate & ~by_value))
    return Divided(linear, shift, bent)


def _even(values: Numbers) -> Flags:
    """Which rows are the same in all tokens."""
    return (values == values[:, :1]).all(axis=1)


def after_heads(layer: SparseLayer, stream: Stream) -> Stream:
    """What is known after the attention of a layer."""
    written = [known.varying.copy() for known in stream]
    for head in layer.heads:
        for reader in head.readers:
            for link in links(head, stream, reader).values():
                written[reader] |= touched(head.out, link.values)
    return tuple(_varying(known, more) for known, more in zip(stream, written, strict=True))


def after_neurons(divided: Sequence[Divided], stream: Stream) -> Stream:
    """What is known after neurons."""
    made = []
    for (linear, shift, bent), known in zip(divided, stream, strict=True):
        new = known.mapped(linear)
        new = Known(new.values + shift, new.varying)
        made.append(_varying(new, np.diff(bent.out.indptr) > 0))
    return tuple(made)


def _varying(known: Known, rows: Flags) -> Known:
    varying = known.varying | rows
    return Known(np.where(varying[:, None], 0.0, known.values), varying)


@dataclass(frozen=True)
class Followed:
    """What is known along some layers.

    Args:
        before: What is known before each layer.
        between: What is known between attention and neurons.
        divided: By group, the neurons of each layer.
        after: What is known after each layer.
        end: What is known after the last.
    """

    before: list[Stream]
    between: list[Stream]
    divided: list[tuple[Divided, ...]]
    after: list[Stream]
    end: Stream


def follow(layers: Sequence[SparseLayer], stream: Stream) -> Followed:
    """Follows knowledge through layers."""
    found = Followed([], [], [], [], stream)
    for layer in layers:
        found.before.append(stream)
        stream = after_heads(layer, stream)
        found.between.append(stream)
        found.divided.append(tuple(divide(layer.neurons, known) for known in stream))
        stream = after_neurons(found.divided[-1], stream)
        found.after.append(stream)
    return replace(found, end=stream)


def settle(layers: Sequence[SparseLayer], stream: Stream) -> Stream:
    """What is known before every run of layers that are run again and again."""
    while True:
        after = follow(layers, stream).end
        joined = tuple(a.joined(b) for a, b in zip(stream, after, strict=True))
        if all((a.varying == b.varying).all() for a, b in zip(stream, joined, strict=True)):
            return stream
        stream = joined
