"""Random weights, and which tokens there are; every axis another prime.

h = 3 heads of key size 5 and value size 7, width 11, 13 neurons, 2 blocks; 4 context tokens, 3
queries, 2 registers.
"""

import numpy as np

from innerloop.models import MLP, Attention, LayerNorm

ROLES = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
N = 4
WIDTH = 11


def draw_attention(rng, kernel, *, layers=()):
    """Heads with random masks; every head reads something other than queries."""
    shapes = {"W_Q": (3, 5, 11), "W_K": (3, 5, 11), "W_V": (3, 7, 11), "W_O": (3, 11, 7)}
    weights = {k: rng.normal(size=(*layers, *shape)) / 4 for k, shape in shapes.items()}
    averages = rng.integers(0, 2, (*layers, 3)).astype(bool)
    readers = rng.integers(0, 2, (*layers, 3, 3)).astype(bool)
    readers[..., 0, :] = True
    sources = np.array([[True, False, False], [False, False, True], [True, False, True]])
    sources = np.broadcast_to(sources, (*layers, 3, 3)).copy()
    return Attention(**weights, averages=averages, readers=readers, sources=sources, kernel=kernel)


def draw_mlp(rng, activation, *, layers=()):
    shapes = {"W_in": (13, 11), "b_in": (13,), "W_out": (11, 13), "b_out": (11,)}
    if activation == "reglu":
        shapes |= {"W_gate": (13, 11), "b_gate": (13,)}
    weights = {k: rng.normal(size=(*layers, *shape)) / 4 for k, shape in shapes.items()}
    return MLP(**weights, activation=activation)


def draw_norm(rng, *, layers=()):
    return LayerNorm(1.0 + rng.normal(size=(*layers, 11)) / 4, rng.normal(size=(*layers, 11)) / 4)


def draw_tokens(rng):
    return rng.normal(size=(len(ROLES), WIDTH))


def as_dict(module):
    """A module's arrays by name."""
    return {name: value for name, value in vars(module).items() if isinstance(value, np.ndarray)}
