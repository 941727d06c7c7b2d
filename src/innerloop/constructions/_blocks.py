r"""How weights are written down: named slots of the residual stream, heads, neurons, layers.

    slots = Slots(x=3, y=2)        slots.x reads a slot, (3, r)        slots.x.T writes it, (r, 3)

A paper's square matrix with blocks of zeros becomes the rows that are not zero: `W_K = slots.x` is
`[[I, 0], [0, 0]]`, and `slots.y.T @ slots.x` moves covariates to where targets are.
Axes: `r` residual width, `k` key size, `v` value size, `f` neurons, `l` layers.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from innerloop.constructions._multiplication import Multiplication
from innerloop.kernels import Kernel
from innerloop.models import MLP, Attention, Block
from innerloop.tokens import READ_ROLES, ROLES

LINEAR, RELU, SOFTMAX = Kernel("linear"), Kernel("relu"), Kernel("softmax")


class Slots:
    """Consecutive parts of the residual stream, by name.

    Example:
        >>> slots = Slots(x=2, y=1)
        >>> slots.width, slots.y.tolist()
        (3, [[0.0, 0.0, 1.0]])
    """

    def __init__(self, **sizes: int):
        self.width = sum(sizes.values())
        starts = accumulate(sizes.values(), initial=0)
        self._spans = {
            name: slice(start, start + size)
            for (name, size), start in zip(sizes.items(), starts, strict=False)
        }

    def __getattr__(self, name: str) -> Float[np.ndarray, "size r"]:
        if name.startswith("_") or name not in self._spans:
            raise AttributeError(f"there is no slot {name!r}; the slots are {list(self._spans)}.")
        return np.eye(self.width)[self._spans[name]]


class Head(NamedTuple):
    """One attention head: `c sum_j kernel(key h_j, query h_i) output value h_j`."""

    query: Float[np.ndarray, "k r"]
    key: Float[np.ndarray, "k r"]
    value: Float[np.ndarray, "v r"]
    output: Float[np.ndarray, "r v"]
    kernel: Kernel = LINEAR
    average: bool = True  # divide by the number of context examples
    sources: tuple[bool, ...] = READ_ROLES  # by role, who is read
    readers: tuple[bool, ...] = (True,) * len(ROLES)  # by role, who is written to
    alone: bool = False  # whether a token reads itself and no other


class Neurons(NamedTuple):
    """A hidden layer: `output max(input h + bias, 0)`, times `gate h` in neurons that have one."""

    input: Float[np.ndarray, "f r"]
    output: Float[np.ndarray, "r f"]
    bias: Float[np.ndarray, " f"] | None = None
    gate: Float[np.ndarray, "f r"] | None = None


class Layer(NamedTuple):
    """Attention, then neurons; either may be missing."""

    heads: tuple[Head, ...] = ()
    neurons: Neurons | None = None

    @property
    def sublayers(self) -> int:
        """How many layers a paper counts that counts attention and MLP as one each."""
        return (len(self.heads) > 0) + (self.neurons is not None)


def together(*groups: Neurons) -> Neurons:
    """Groups of neurons side by side in one MLP."""
    biases = [np.zeros(len(g.input)) if g.bias is None else g.bias for g in groups]
    gates = [np.zeros_like(g.input) if g.gate is None else g.gate for g in groups]
    return Neurons(
        np.concatenate([g.input for g in groups]),
        np.concatenate([g.output for g in groups], axis=1),
        np.concatenate(biases),
        None if all(g.gate is None for g in groups) else np.concatenate(gates),
    )


def linear_neurons(
    read: Float[np.ndarray, "f r"], write: Float[np.ndarray, "r f"], bias: float = 0.0
) -> Neurons:
    """`write read h` with ReLU neurons: `z = max(z, 0) - max(-z, 0)`."""
    shift = np.full(len(read), bias)
    return Neurons(
        np.concatenate([read, -read]),
        np.concatenate([write, -write], axis=1),
        np.concatenate([shift, -shift]),
    )


def relu_pair(head: Head) -> tuple[Head, Head]:
    """A linear head as two ReLU heads, `z = max(z, 0) - max(-z, 0)`; the values differ in sign."""
    positive = head._replace(kernel=RELU)
    return positive, positive._replace(query=-head.query, output=-head.output)


def bank(layers: Sequence[Layer], activation: str = "relu") -> Block:
    """Layers as a bank of blocks, padded with zeros to equal numbers of heads and neurons.

    Args:
        layers: The layers.
        activation: That of neurons; where some have gates all become ReGLU, and a neuron without
            a gate gates the constant 1.
    """
    width = _width(layers)
    kinds = sorted({(h.kernel, h.alone) for layer in layers for h in layer.heads}, key=str)
    attention = tuple(_attention(layers, kernel, alone, width) for kernel, alone in kinds)
    if all(layer.neurons is None for layer in layers):
        return Block(attention, None)
    nothing = Neurons(np.zeros((0, width)), np.zeros((width, 0)))
    neurons = [together(layer.neurons or nothing) for layer in layers]
    size = max(len(n.input) for n in neurons)

    def stacked(name: str, *shape: int) -> np.ndarray:
        return np.stack([_padded(getattr(n, name), shape) for n in neurons])

    into, bias = stacked("input", size, width), stacked("bias", size)
    out, shift = stacked("output", width, size), np.zeros((len(layers), width))
    if all(n.gate is None for n in neurons):
        return Block(attention, MLP(into, bias, out, shift, activation=activation))
    gates = [np.zeros((0, width)) if n.gate is None else n.gate for n in neurons]
    values = np.stack([_padded(gate, (size, width)) for gate in gates])
    ones = (~np.any(values, axis=-1)).astype(float)
    return Block(attention, MLP(values, ones, out, shift, into, bias, activation="reglu"))


def _attention(layers: Sequence[Layer], kernel: Kernel, alone: bool, width: int) -> Attention:
    """The heads of one kind, layer by layer."""
    kind = (kernel, alone)
    chosen = [[h for h in layer.heads if (h.kernel, h.alone) == kind] for layer in layers]
    every = [h for heads in chosen for h in heads]
    count = max(len(heads) for heads in chosen)
    key, value = max(len(h.key) for h in every), max(len(h.value) for h in every)
    nothing = Head(
        np.zeros((0, width)), np.zeros((0, width)), np.zeros((0, width)), np.zeros((width, 0))
    )
    rows = [[*heads, *[nothing] * (count - len(heads))] for heads in chosen]

    def stacked(name: str, shape: tuple[int, int]) -> np.ndarray:
        return np.array([[_padded(getattr(h, name), shape) for h in heads] for heads in rows])

    def flags(name: str) -> np.ndarray:
        return np.array([[getattr(h, name) for h in heads] for heads in rows], bool)

    made = Multiplication if alone else Attention
    return made(
        stacked("query", (key, width)),
        stacked("key", (key, width)),
        stacked("value", (value, width)),
        stacked("output", (width, value)),
        flags("average"),
        flags("readers"),
        flags("sources"),
        kernel,
    )


def _width(layers: Sequence[Layer]) -> int:
    parts = [h.query for layer in layers for h in layer.heads]
    parts += [layer.neurons.input for layer in layers if layer.neurons is not None]
    return parts[0].shape[-1]


def _padded(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array in the corner of zeros of the given shape."""
    out = np.zeros(shape)
    out[tuple(slice(s) for s in array.shape)] = array
    return out
