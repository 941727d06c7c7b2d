r"""Products with what is mostly zeros and ones: slices where it selects, sums where it is sparse.

Axes: `k` rows; `t` tokens.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, Float, Int

from innerloop.compiler.forms import Matrix, dims

_SPARSE = 8
"""A product is added up entry by entry if it has this many times fewer entries than a dense one."""
_SLICES = 6
"""Rows that are not side by side are put together from at most this many slices."""

Rows = Int[np.ndarray, " _"]
Block = Float[Array, "_ _"]


def taken(array: Block, rows: Rows) -> Block:
    """Rows of an array, by slices if there are few of them."""
    if len(rows) == array.shape[0] and (rows == np.arange(len(rows))).all():
        return array
    if not rows.size:
        return array[:0]
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    runs = np.split(rows, breaks)
    if len(runs) <= _SLICES:
        slices = [jax.lax.slice_in_dim(array, int(run[0]), int(run[-1]) + 1) for run in runs]
        return slices[0] if len(slices) == 1 else jnp.concatenate(slices)
    if len({len(run) for run in runs}) == 1 and len({run[0] for run in runs}) == 1:
        once = taken(array, runs[0])
        copies = jnp.broadcast_to(once, (len(runs), *once.shape))
        return copies.reshape(len(rows), array.shape[1])
    return array[rows]


def product(weights: Matrix, array: Block, place: Rows) -> Block:
    """A matrix times some rows of an array, multiplying as little as possible."""
    height, _ = dims(weights)
    counts = np.diff(weights.indptr)
    terms = int(counts.max())
    used = np.unique(weights.indices)
    dense = height * len(used)
    if terms > 1 and terms * height * _SPARSE > dense:
        factor = weights[:, used].toarray().astype(array.dtype)
        return jnp.asarray(factor) @ taken(array, place[used])
    entry = np.arange(weights.nnz) - np.repeat(weights.indptr[:-1], counts)
    index = np.zeros((terms, height), int)
    scale = np.zeros((terms, height), array.dtype)
    row = np.repeat(np.arange(height), counts)
    index[entry, row], scale[entry, row] = place[weights.indices], weights.data
    picked = taken(array, index.ravel()).reshape(terms, height, array.shape[1])
    if not (scale == 1.0).all():
        picked = picked * scale[..., None]
    return picked[0] if terms == 1 else picked.sum(axis=0)


def times_known(array: Block, factor: Float[np.ndarray, "k c"]) -> Block:
    """`array @ factor` for a factor that is known, most often a part of the identity."""
    rows, columns = factor.shape
    if (factor == np.eye(rows, columns)).all():
        if columns <= rows:
            return array[:, :columns]
        return jnp.pad(array, ((0, 0), (0, columns - rows)))
    if (np.count_nonzero(factor, axis=0) <= 1).all() and columns > 1:
        return product(sp.csr_array(factor.T), array.T, np.arange(rows)).T
    return array @ jnp.asarray(factor.astype(array.dtype))
