r"""Tensors for a file: large banks that are mostly zeros as their entries, all others as they are.

A bank `X` of shape `(l, a, b)` becomes four tensors, its rows compressed, layer after layer:

    X:values   (k,)        what is not zero, row by row          X:ends    (l a,)  where rows end
    X:columns  (k,) int32  in which of the `b` columns           X:shape   (3,)    l, a, b

Axes: `l` layers, `a` rows, `b` columns, `k` entries.
"""

import numpy as np
import scipy.sparse as sp

from innerloop.compiler.entries import bank_of, entries_of
from innerloop.compiler.forms import Matrix, matrix
from innerloop.compiler.records import Misfit, Tensors

_LARGE = 2**22
"""A bank of fewer numbers is stored as it is, for everybody to read."""
_MARK = ":"
_PARTS = ("values", "columns", "ends", "shape")


def packed(tensors: Tensors) -> Tensors:
    """The tensors that go to a file."""
    made: Tensors = {}
    for name, array in tensors.items():
        rows = _rows(array)
        if rows is None:
            made[name] = np.ascontiguousarray(array)
            continue
        parts = (
            rows.data.astype(array.dtype),
            rows.indices.astype(np.int32),
            rows.indptr[1:].astype(np.int64),
            np.asarray(array.shape, np.int64),
        )
        made |= {f"{name}{_MARK}{part}": p for part, p in zip(_PARTS, parts, strict=True)}
    return made


def unpacked(tensors: Tensors) -> Tensors:
    """The tensors that a file stands for.

    Raises:
        Misfit: If the parts of a bank do not fit each other.
    """
    made = {name: array for name, array in tensors.items() if _MARK not in name}
    for name in dict.fromkeys(name.split(_MARK)[0] for name in tensors if _MARK in name):
        parts = {part: tensors.get(f"{name}{_MARK}{part}") for part in _PARTS}
        missing = [f"{name}{_MARK}{part}" for part, array in parts.items() if array is None]
        if missing:
            raise Misfit(f"it lacks the tensor {', '.join(missing)}.")
        made[name] = _bank(name, *(np.asarray(array) for array in parts.values()))
    return made


def _rows(array: np.ndarray) -> Matrix | None:
    """All rows of a bank below each other, if it is large and mostly zeros."""
    if array.ndim != 3 or array.size < _LARGE or not np.issubdtype(array.dtype, np.floating):
        return None
    layers = entries_of(array)
    return (
        None if 2 * sum(layer.nnz for layer in layers) > array.size else matrix(sp.vstack(layers))
    )


def _bank(
    name: str, values: np.ndarray, columns: np.ndarray, ends: np.ndarray, shape: np.ndarray
) -> np.ndarray:
    """The dense bank."""
    whole = all(part.ndim == 1 and part.dtype.kind == "i" for part in (columns, ends, shape))
    if not whole or shape.shape != (3,) or (shape < 0).any() or values.ndim != 1:
        raise Misfit(f"the tensors of {name} are not those of a bank.")
    l, a, b = (int(size) for size in shape)  # noqa: E741 (the glossary's letter for layers)
    starts = np.append(0, ends)
    ordered = len(starts) == l * a + 1 and (np.diff(starts) >= 0).all()
    inside = ordered and len(columns) == len(values) == starts[-1]
    if not inside or (len(columns) and not 0 <= columns.min() <= columns.max() < b):
        raise Misfit(f"the entries of {name} do not fit in its shape ({l}, {a}, {b}).")
    rows = sp.csr_array((values.astype(np.float64), columns, starts), (l * a, b))
    layers = [matrix(rows[a * layer : a * (layer + 1)]) for layer in range(l)]
    return bank_of(layers, (a, b), values.dtype.name)
