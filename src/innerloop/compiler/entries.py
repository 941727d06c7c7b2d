r"""Banks of weights that are mostly zeros: dense arrays, and the entries that are not zero.

A bank is padded to its widest layer, so that an optimizer whose splines take 100,000 neurons in one
of nine layers has 4 GB in each of three arrays. Nearly all of it is memory that is never touched: a
bank is laid out so that the longer of its two last axes is contiguous, neurons side by side, and
only what is not zero is written. An array made here is read-only and its entries are remembered;
in any other they are looked for.
Axes: `l` layers, `a`, `b` any two.
"""

import mmap
import weakref
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, Float

from innerloop.compiler.forms import Matrix, matrix

_LARGE = 2**24
"""In bytes; smaller banks are not worth it."""
_MADE: dict[int, tuple[Matrix, ...]] = {}


def bank_of(
    layers: Sequence[Matrix], shape: tuple[int, int], dtype: str
) -> Float[np.ndarray, "l a b"]:
    """Matrices one behind the other, padded to one shape.

    Args:
        layers: A matrix for each layer, not larger than `shape`.
        shape: The padded shape of one layer.
        dtype: The precision.
    """
    rows, columns = shape
    memory = _zeros((len(layers), min(shape), max(shape)), dtype)
    bank = memory.swapaxes(1, 2) if rows > columns else memory
    made = []
    for block, layer in zip(bank, layers, strict=True):
        entries = sp.coo_array(layer)
        block[entries.row, entries.col] = entries.data
        made.append(matrix((entries.data.astype(dtype), (entries.row, entries.col)), shape))
    memory.flags.writeable = bank.flags.writeable = False
    _MADE[id(bank)] = tuple(made)
    weakref.finalize(bank, _MADE.pop, id(bank), None)
    return bank


def entries_of(bank: Float[Array | np.ndarray, "l a b"]) -> tuple[Matrix, ...]:
    """The entries of a bank that are not zero, layer by layer."""
    array = np.asarray(bank)
    if id(array) in _MADE and not array.flags.writeable:
        return _MADE[id(array)]
    return tuple(_found(layer) for layer in array)


def _zeros(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Zeros in memory of small pages, most of which will never be there.

    What numpy allocates comes in pages of 2 MB where the system has them, and one number in each
    is enough to need them all.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size < _LARGE:
        return np.zeros(shape, dtype)
    return np.frombuffer(mmap.mmap(-1, size), dtype).reshape(shape)


def _found(dense: Float[np.ndarray, "a b"]) -> Matrix:
    """The entries of a matrix most of whose rows or columns are zero."""
    bits = dense.view(f"i{dense.dtype.itemsize}")
    rows, columns = np.flatnonzero(bits.any(axis=1)), np.flatnonzero(bits.any(axis=0))
    small = sp.coo_array(dense[np.ix_(rows, columns)])
    return matrix((small.data, (rows[small.row], columns[small.col])), dense.shape)
