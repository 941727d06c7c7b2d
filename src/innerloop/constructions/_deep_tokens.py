r"""Tokens that carry a whole network: what the constructions of Wu et al. have in common.

    h_i = (x_i; y_i; w; scratch; 1; t_i)        w = rows of V_1, ..., V_N,    t_i = 1 in the context
    p(0) = x,   p(j) = r(V_j p(j-1)),   prediction p(N)

The same `w` stands in every token, so `(1/T) sum_s` of a head whose keys read `w` is one of `T`
equal terms: a matrix-vector product inside a token, by attention.
Axes: `N` layers, `K_j` units in layer `j`, `K_0 = d` covariates, `K_N = p` targets, `T` tokens.
Reference: Wu et al. (2024), arXiv:2411.16549, Section 3, Definitions 1, 7 and 8.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from innerloop.constructions._blocks import (
    RELU,
    Head,
    Layer,
    Neurons,
    Slots,
    linear_neurons,
    together,
)
from innerloop.constructions._hinges import (
    IDENTITY,
    RECTIFIER,
    Hinges,
    interpolant,
    ramp,
)
from innerloop.tokens import ROLES

EVERYONE = (True,) * len(ROLES)


class Activation(NamedTuple):
    """An activation and its derivative as sums of hinges."""

    value: Hinges
    derivative: Hinges


def relu(margin: float) -> Activation:
    """ReLU, exact; its derivative is a ramp, exact but for pre-activations in `(0, margin)`."""
    return Activation(RECTIFIER, ramp(margin))


def sigmoid(radius: float, intervals: int) -> Activation:
    """The sigmoid and its derivative, interpolated on `[-radius, radius]`."""

    def value(t):
        return 1 / (1 + np.exp(-t))

    return Activation(
        interpolant(value, radius, intervals),
        interpolant(lambda t: value(t) * value(-t), radius, intervals),
    )


NO_ACTIVATION = Activation(IDENTITY, Hinges(np.ones(1), np.zeros(1), np.ones(1)))
"""A linear layer: `r(t) = t`, `r'(t) = 1`."""


class DeepTokens:
    """Where a token holds what; layers count from 1, units from 0.

    Args:
        weights: `V_1, ..., V_N`, each `(K_j, K_{j-1})`.
        scratch: Names of scratch, each of one number for every unit of the network.
        extra: Other slots, by name, with their sizes.
    """

    def __init__(self, weights: Sequence[Float[np.ndarray, "_ _"]], scratch: str, **extra: int):
        self.weights = tuple(weights)
        self.sizes = (weights[0].shape[1], *(len(v) for v in weights))
        self.depth = len(weights)
        layers = range(1, self.depth + 1)
        named = {f"w{j}": weights[j - 1].size for j in layers}
        named |= {f"{name}{j}": self.sizes[j] for name in scratch for j in layers}
        self.slots = Slots(x=self.sizes[0], y=self.sizes[-1], **named, one=1, **extra)
        self.scratch = scratch

    @property
    def d(self) -> int:
        """Covariates."""
        return self.sizes[0]

    @property
    def p(self) -> int:
        """Targets."""
        return self.sizes[-1]

    def units(self) -> list[tuple[int, int]]:
        """Every (layer, unit) of the network."""
        return [(j, k) for j in range(1, self.depth + 1) for k in range(self.sizes[j])]

    def at(self, name: str, j: int) -> Float[np.ndarray, "_ r"]:
        """A scratch slot of layer `j`; `p` of layer 0 are the covariates."""
        return self.slots.x if (name, j) == ("p", 0) else getattr(self.slots, f"{name}{j}")

    def unit(self, name: str, j: int, k: int) -> Float[np.ndarray, "1 r"]:
        """One number of a scratch slot."""
        return self.at(name, j)[k : k + 1]

    def row(self, j: int, k: int) -> Float[np.ndarray, "_ r"]:
        """`v_jk`, the weights into unit `k` of layer `j`."""
        size = self.sizes[j - 1]
        return getattr(self.slots, f"w{j}")[k * size : (k + 1) * size]

    def column(self, j: int, k: int) -> Float[np.ndarray, "_ r"]:
        """The weights out of unit `k` of layer `j - 1`: column `k` of `V_j`."""
        return getattr(self.slots, f"w{j}")[k :: self.sizes[j - 1]]

    def embedding(
        self, positions: int = 0
    ) -> tuple[Float[np.ndarray, "r inputs"], Float[np.ndarray, "r inputs"]]:
        """`W_E` of context and query: data, initial weights, 1, and the train bit if it is used."""
        inputs = np.eye(self.d + self.p + 1 + positions)
        data = np.concatenate([self.slots.x, self.slots.y, self.slots.one])
        one = inputs[self.d + self.p : self.d + self.p + 1]
        context = data.T @ inputs[: self.d + self.p + 1]
        for j, v in enumerate(self.weights, start=1):
            context += getattr(self.slots, f"w{j}").T @ v.reshape(-1, 1) @ one
        if positions:
            context += self.slots.place.T @ inputs[self.d + self.p + 1 :]
        train = np.zeros_like(context)
        if hasattr(self.slots, "t"):
            train = self.slots.t.T @ one
        return context + train, context

    def forward(self, j: int, activation: Activation, name: str = "p") -> Layer:
        """Layer `j`: `r(V_j p(j-1))` in every token, a ReLU head for each unit and hinge."""
        hinges = activation.value if name == "p" else activation.derivative
        heads = (
            Head(
                query=np.concatenate([a * self.at("p", j - 1), b * self.slots.one]),
                key=np.concatenate([self.row(j, k), self.slots.one]),
                value=c * self.slots.one,
                output=self.unit(name, j, k).T,
                kernel=RELU,
                sources=EVERYONE,
            )
            for k in range(self.sizes[j])
            for c, a, b in zip(*hinges, strict=True)
        )
        return Layer(tuple(heads))

    def clip(self, bound: float) -> Neurons:
        """The projection on the box: `w += max(-w - b, 0) - max(w - b, 0)`."""
        w = np.concatenate([getattr(self.slots, f"w{j}") for j in range(1, self.depth + 1)])
        return Neurons(
            np.concatenate([w, -w]),
            np.concatenate([-w.T, w.T], axis=1),
            np.full(2 * len(w), -bound),
        )

    def erase(self, *others: str) -> Neurons:
        """All scratch back to zero, `z += max(-z, 0) - max(z, 0)`."""
        held = [self.at(name, j) for name in self.scratch for j in range(1, self.depth + 1)]
        held += [getattr(self.slots, name) for name in others]
        z = np.concatenate(held)
        return linear_neurons(z, -z.T)

    def finish(self, bound: float, *others: str) -> Neurons:
        """The last MLP of a step: projection and erasure."""
        return together(self.clip(bound), self.erase(*others))
