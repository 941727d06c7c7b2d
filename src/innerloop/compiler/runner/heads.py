r"""One attention head between two groups of tokens, multiplied in the cheapest order.

    scores first    V (K^T Q)            summary first    (V K^T) Q

What is known of query, key and value when the program is built decides first: on registers they
are mostly names, that is parts of the identity, and a product with those is a slice.
Axes: `k` key size, `v` value size, `t` tokens.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, Float

from innerloop.compiler.forms import matrix
from innerloop.compiler.runner.products import times_known
from innerloop.compiler.runner.stack import Stack, elementwise, too_thin, total
from innerloop.kernels import Kernel


def linear(query: Stack, key: Stack, value: Stack) -> Stack:
    """`sum_j <key_j, query_i> value_j`, `(v, t)`.

    Args:
        query: `(k, t)` of the tokens that read.
        key: `(k, t)` of the tokens that are read.
        value: `(v, t)` of the tokens that are read.
    """
    query, key, value = query.compact(), key.compact(), value.compact()
    if _scores_first(query, key, value):
        return _by_scores(query, key, value)
    return _by_summary(query, key, value)


def weighted(
    kernel: Kernel, query: Stack, keys: list[Stack], values: list[Stack]
) -> Float[Array, "v t"]:
    """The same with any kernel, reading several groups of tokens at once."""
    every_key = jnp.concatenate([key.joined() for key in keys], axis=1)
    every_value = jnp.concatenate([value.joined() for value in values], axis=1)
    scores = kernel.scores(query.joined().T, every_key.T)
    if kernel.normalised:
        scores = jax.nn.softmax(scores, axis=-1)
    return every_value @ scores.T


def _scores_first(query: Stack, key: Stack, value: Stack) -> bool:
    if query.is_known and key.is_known:
        return True
    if key.is_known or query.is_known:
        return value.is_known and not key.is_known
    if value.is_known:
        return True
    k, v, read, reading = key.size, value.size, key.tokens, query.tokens
    return read * reading * (k + v) < k * v * (read + reading)


def _by_scores(query: Stack, key: Stack, value: Stack) -> Stack:
    if value.is_known:
        names = np.broadcast_to(value.known, (value.size, value.tokens))
        read = np.flatnonzero(names.any(axis=0))
        scores = _scores(query, key.columns(read))
        return scores.mapped(matrix(sp.csr_array(names[:, read])))
    scores = _scores(query, key)
    made = []
    for rows, block in value.parts():
        if isinstance(block, np.ndarray):
            names = np.broadcast_to(block, (len(rows), value.tokens))
            made.append((rows, scores.mapped(matrix(sp.csr_array(names)))))
        elif scores.is_known:
            factor = np.broadcast_to(scores.known, (scores.size, scores.tokens))
            made.append((rows, Stack.of_array(times_known(block, factor))))
        else:
            made.append((rows, Stack.of_array(block @ scores.joined())))
    return Stack.of_parts(value.size, query.tokens, made, value.known.dtype)


def _scores(query: Stack, key: Stack) -> Stack:
    """`key^T query`, a row for each token that is read."""
    terms = []
    everywhere = np.arange(key.tokens)
    kinds, number = np.unique(np.stack([query.owner, key.owner]), axis=1, return_inverse=True)
    if too_thin(kinds.shape[1], query.size):
        return Stack.of_array(key.joined().T @ query.joined())
    for kind in range(kinds.shape[1]):
        rows = np.flatnonzero(number.ravel() == kind)
        (_, left), (_, right) = next(key.rows(rows).parts()), next(query.rows(rows).parts())
        if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
            columns = max(right.shape[1], 1)
            block = np.broadcast_to(left.T @ right, (key.tokens, columns))
            terms.append((everywhere, Stack.of_known(block, query.tokens)))
            continue
        if isinstance(left, np.ndarray):
            block = jnp.asarray(np.broadcast_to(left, (len(rows), key.tokens)).T) @ right
        elif isinstance(right, np.ndarray):
            block = times_known(left.T, right)
        else:
            block = left.T @ right
        whole = jnp.broadcast_to(block, (key.tokens, query.tokens))
        terms.append((everywhere, Stack.of_array(whole)))
    return total(key.tokens, query.tokens, terms, key.known.dtype)


def _by_summary(query: Stack, key: Stack, value: Stack) -> Stack:
    summary = _summary(key, value)
    made = []
    for rows, block in summary.parts():
        if isinstance(block, np.ndarray):
            factor = np.broadcast_to(block, (len(rows), key.size))
            made.append((rows, query.mapped(matrix(sp.csr_array(factor)))))
            continue
        terms = []
        here = np.arange(len(rows))
        for places, part in query.parts():
            left = block if len(places) == key.size else block[:, places]
            if isinstance(part, np.ndarray):
                product = times_known(left, part)
                product = jnp.broadcast_to(product, (len(rows), query.tokens))
            else:
                product = left @ part
            terms.append((here, Stack.of_array(product)))
        made.append((rows, total(len(rows), query.tokens, terms, value.known.dtype)))
    return Stack.of_parts(value.size, query.tokens, made, value.known.dtype)


def _summary(key: Stack, value: Stack) -> Stack:
    """`value key^T`, summed over the tokens that are read; a column for each entry of the key."""
    made = []
    for rows, block in value.parts():
        if isinstance(block, np.ndarray) and key.is_known:
            left = np.broadcast_to(block, (len(rows), value.tokens))
            right = np.broadcast_to(key.known, (key.size, key.tokens))
            made.append((rows, Stack.of_known(left @ right.T, key.size)))
            continue
        if isinstance(block, np.ndarray):
            product = _even_or_full(key.joined(), block).T
        elif key.is_known:
            product = _even_or_full(block, key.known)
        else:
            product = block @ key.joined().T
        made.append((rows, Stack.of_array(product)))
    return Stack.of_parts(value.size, key.size, made, value.known.dtype)


def _even_or_full(array: Float[Array, "a t"], known: np.ndarray) -> Float[Array, "a b"]:
    """`array @ known.T`, where one column of `known` stands for all tokens."""
    if known.shape[1] == 1:
        return times_known(array.sum(axis=1, keepdims=True), known.T)
    return times_known(array, known.T)


def scaled(stack: Stack, factor: float) -> Stack:
    """All rows times a number."""
    if factor == 1.0:
        return stack
    return elementwise(lambda block: block * np.asarray(factor, block.dtype), stack)
