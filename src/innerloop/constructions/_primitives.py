r"""mov, mul, div and aff: the instructions of Akyurek et al., a layer each.

| | what it does | by |
|---|---|---|
| mov | copies entries of one token into all | a head whose keys are a position's code |
| mul | multiplies entries of a token | three GeLU neurons a product, or two ReGLU neurons |
| div | takes the reciprocal of an entry | hinges |
| aff | maps entries linearly | any two neurons whose difference is linear |

Proof of mul. GeLU is `z/2` and an even function, `z^2 / sqrt(2 pi) + O(z^4)`. In
`g(a + b) - g(a) - g(b)` linear parts cancel and squares leave `2 a b / sqrt(2 pi)`; with arguments
scaled by `delta`, `sqrt(pi/2) / delta^2` times it is `a b + O(delta^2)`. With ReGLU,
`max(a, 0) b - max(-a, 0) b = a b`.

Departs from Akyurek et al., Lemma 1: `div` by LayerNorm there, by an interpolant of the
reciprocal on a declared interval here, `h^2 max |f''| / 8`; `mov` by linear attention, exact.
Reference: Akyurek et al. (2023), arXiv:2211.15661, Lemma 1 and Appendix C.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from innerloop.constructions._blocks import Head, Neurons
from innerloop.constructions._hinges import Hinges


def mov(
    source: Float[np.ndarray, "1 r"],
    one: Float[np.ndarray, "1 r"],
    read: Float[np.ndarray, "v r"],
    write: Float[np.ndarray, "r v"],
) -> Head:
    """Entries of the token whose code `source` reads as 1, into every token."""
    return Head(one, source, read, write, average=False)


def mul(
    first: Float[np.ndarray, "f r"],
    second: Float[np.ndarray, "f r"],
    write: Float[np.ndarray, "r f"],
    delta: float | None = None,
) -> Neurons:
    """Products of pairs of entries, added up by `write`.

    Args:
        first: Reads one factor of each product.
        second: Reads the other.
        write: Where products go.
        delta: The scale of GeLU's arguments; exact ReGLU neurons by default.
    """
    if delta is None:
        return Neurons(
            np.concatenate([first, -first]),
            np.concatenate([write, -write], axis=1),
            gate=np.concatenate([second, second]),
        )
    scale = math.sqrt(math.pi / 2) / delta**2 * write
    return Neurons(
        delta * np.concatenate([first + second, first, second]),
        np.concatenate([scale, -scale, -scale], axis=1),
    )


def apply_hinges(
    hinges: Hinges, entry: Float[np.ndarray, "1 r"], write: Float[np.ndarray, "r 1"]
) -> Neurons:
    """A function of one entry, such as the reciprocal of `div`."""
    return Neurons(hinges.slope[:, None] * entry, write @ hinges.factor[None], hinges.shift)


def matrix_vector(
    matrix: Float[np.ndarray, "ab r"],
    vector: Float[np.ndarray, "b r"],
    write: Float[np.ndarray, "r a"],
) -> tuple[Float[np.ndarray, "ab r"], Float[np.ndarray, "ab r"], Float[np.ndarray, "r ab"]]:
    """The arguments of `mul` that multiply a matrix, row by row in a slot, with a vector."""
    rows = len(matrix) // len(vector)
    return matrix, np.tile(vector, (rows, 1)), np.repeat(write, len(vector), axis=1)


def outer(
    left: Float[np.ndarray, "a r"],
    right: Float[np.ndarray, "b r"],
    write: Float[np.ndarray, "r ab"],
) -> tuple[Float[np.ndarray, "ab r"], Float[np.ndarray, "ab r"], Float[np.ndarray, "r ab"]]:
    """The arguments of `mul` that write an outer product, row by row in a slot."""
    return np.repeat(left, len(right), axis=0), np.tile(right, (len(left), 1)), write


def codes(d: int, p: int, positions: int) -> Sequence[Float[np.ndarray, "size inputs"]]:
    """What an embedding reads: covariates, targets, 1, and the position's code."""
    inputs = np.eye(d + p + 1 + positions)
    return np.split(inputs, np.cumsum([d, p, 1]))
