r"""Rows of numbers, one column a token, held in pieces: the residual stream while it runs.

A row is known when the program is built, or it is a row of one of a few arrays. Linear maps are
split along the pieces: rows that select are sliced, sparse rows are added up, and only what is
dense is multiplied.
Axes: `t` tokens; `k` rows; `c` columns of what is known, 1 or `t`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from innerloop.compiler.forms import Matrix, dims
from innerloop.compiler.runner.products import Block, Rows, product, taken

_PIECES = 8
"""More pieces than this are joined, if they have fewer than `_THIN` rows each."""
_THIN = 4


@dataclass(frozen=True, eq=False)
class Stack:
    """Rows in pieces.

    Args:
        tokens: How many columns.
        known: The rows that are known; zero in the others.
        owner: For each row the array it stands in, or -1.
        place: For each row its place in that array.
        arrays: The arrays.
    """

    tokens: int
    known: Float[np.ndarray, "k c"]
    owner: Int[np.ndarray, " k"]
    place: Int[np.ndarray, " k"]
    arrays: tuple[Block, ...]

    @staticmethod
    def of_known(known: Float[np.ndarray, "k c"], tokens: int) -> "Stack":
        """Rows that are all known."""
        nowhere = np.full(len(known), -1)
        return Stack(tokens, known, nowhere, nowhere, ())

    @staticmethod
    def of_array(array: Block) -> "Stack":
        """The rows of an array."""
        size = array.shape[0]
        zeros = np.zeros((size, 1), array.dtype)
        return Stack(array.shape[1], zeros, np.zeros(size, int), np.arange(size), (array,))

    @staticmethod
    def of_parts(
        size: int, tokens: int, parts: Sequence[tuple[Rows, "Stack"]], dtype: np.dtype
    ) -> "Stack":
        """Rows from several stacks, each at its places; zero where none has a place."""
        columns = max((part.known.shape[1] for _, part in parts), default=1)
        known = np.zeros((size, columns), dtype)
        owner, place = np.full(size, -1), np.full(size, -1)
        arrays: list[Block] = []
        number: dict[int, int] = {}
        for rows, part in parts:
            known[rows] = part.known
            place[rows] = part.place
            for old in np.unique(part.owner[part.owner >= 0]):
                array = part.arrays[old]
                if id(array) not in number:
                    number[id(array)] = len(arrays)
                    arrays.append(array)
                owner[rows[part.owner == old]] = number[id(array)]
        return Stack(tokens, known, owner, place, tuple(arrays))

    @property
    def size(self) -> int:
        """How many rows."""
        return len(self.owner)

    @property
    def is_known(self) -> bool:
        """Whether all rows are known."""
        return not (self.owner >= 0).any()

    def rows(self, rows: Rows) -> "Stack":
        """Some of the rows."""
        return Stack(self.tokens, self.known[rows], self.owner[rows], self.place[rows], self.arrays)

    def columns(self, tokens: Rows) -> "Stack":
        """Some of the tokens."""
        known = self.known if self.known.shape[1] == 1 else self.known[:, tokens]
        arrays = tuple(taken(array.T, tokens).T for array in self.arrays)
        return Stack(len(tokens), known, self.owner, self.place, arrays)

    def parts(self) -> Iterator[tuple[Rows, "Block | np.ndarray"]]:
        """Places and rows, array by array; then what is known, as numpy."""
        for number in np.unique(self.owner):
            rows = np.flatnonzero(self.owner == number)
            if number < 0:
                yield rows, self.known[rows]
            else:
                yield rows, taken(self.arrays[number], self.place[rows])

    def joined(self) -> Block:
        """All rows in one array."""
        if self.is_known:
            return jnp.broadcast_to(jnp.asarray(self.known), (self.size, self.tokens))
        if len(set(self.owner)) == 1:
            return taken(self.arrays[self.owner[0]], self.place)
        blocks, order = [], []
        for rows, block in self.parts():
            blocks.append(jnp.broadcast_to(jnp.asarray(block), (len(rows), self.tokens)))
            order.append(rows)
        return taken(jnp.concatenate(blocks), np.argsort(np.concatenate(order)))

    def compact(self) -> "Stack":
        """The same, in one array if there are many small ones."""
        varying = np.flatnonzero(self.owner >= 0)
        if not too_thin(len(np.unique(self.owner[varying])), len(varying)):
            return self
        parts = [
            (np.arange(self.size), Stack.of_known(self.known, self.tokens)),
            (varying, Stack.of_array(self.rows(varying).joined())),
        ]
        return Stack.of_parts(self.size, self.tokens, parts, self.known.dtype)

    def mapped(self, weights: Matrix, bias: Float[np.ndarray, "s c"] | None = None) -> "Stack":
        """`weights @ rows + bias`."""
        known = (weights @ self.known).astype(self.known.dtype)
        if bias is not None:
            known = known + bias.astype(known.dtype)
        made = []
        families = _families(weights, self.owner)
        if too_thin(sum(len(owners) for _, owners in families), dims(weights)[0]):
            used = np.flatnonzero((self.owner >= 0) & (np.diff(weights.tocsc().indptr) > 0))
            block = jnp.asarray(weights[:, used].toarray().astype(known.dtype))
            return Stack.of_array(block @ self.rows(used).joined() + known)
        for rows, owners in families:
            if not owners:
                made.append((rows, Stack.of_known(known[rows], self.tokens)))
                continue
            total: Block | np.ndarray | None = known[rows] if known[rows].any() else None
            for number in owners:
                columns = np.flatnonzero(self.owner == number)
                part = weights[rows][:, columns]
                term = product(part, self.arrays[number], self.place[columns])
                total = term if total is None else term + total
            made.append((rows, Stack.of_array(jnp.asarray(total))))
        return Stack.of_parts(dims(weights)[0], self.tokens, made, known.dtype)


def too_thin(pieces: int, rows: int) -> bool:
    """Whether rows are in so many pieces that they had better be joined."""
    return pieces > max(_PIECES, rows / _THIN)


def elementwise(function: Callable, *stacks: Stack) -> Stack:
    """A function of stacks of the same size, entry by entry; known where all of them are."""
    made = []
    owners = np.stack([stack.owner for stack in stacks])
    kinds, number = np.unique(owners, axis=1, return_inverse=True)
    if too_thin(kinds.shape[1], stacks[0].size):
        return Stack.of_array(function(*(stack.joined() for stack in stacks)))
    for kind in range(kinds.shape[1]):
        rows = np.flatnonzero(number.ravel() == kind)
        blocks = [next(stack.rows(rows).parts())[1] for stack in stacks]
        value = function(*blocks)
        stack = Stack.of_array if (kinds[:, kind] >= 0).any() else _still_known(stacks[0].tokens)
        made.append((rows, stack(value)))
    return Stack.of_parts(stacks[0].size, stacks[0].tokens, made, stacks[0].known.dtype)


def _still_known(tokens: int) -> Callable[[np.ndarray], Stack]:
    return lambda values: Stack.of_known(np.asarray(values), tokens)


def total(size: int, tokens: int, terms: Sequence[tuple[Rows, Stack]], dtype: np.dtype) -> Stack:
    """The sum of stacks, each placed at its rows."""
    spread = [Stack.of_parts(size, tokens, [term], dtype) for term in terms]
    inside = np.stack([np.isin(np.arange(size), rows) for rows, _ in terms])
    kinds, number = np.unique(
        np.stack([s.owner for s in spread] + list(inside)), axis=1, return_inverse=True
    )
    if too_thin(kinds.shape[1], size):
        return elementwise(_sum, *spread)
    made = []
    for kind in range(kinds.shape[1]):
        rows = np.flatnonzero(number.ravel() == kind)
        members = np.flatnonzero(kinds[len(terms) :, kind])
        if len(members) == 1:
            made.append((rows, spread[members[0]].rows(rows)))
        elif len(members) > 1:
            made.append((rows, elementwise(_sum, *(spread[k].rows(rows) for k in members))))
    return Stack.of_parts(size, tokens, made, dtype)


def _sum(*blocks: Block | np.ndarray) -> Block | np.ndarray:
    return sum(blocks[1:], start=blocks[0])


def _families(weights: Matrix, owner: Rows) -> list[tuple[Rows, tuple[int, ...]]]:
    """Rows of a matrix by the arrays that they read."""
    found: dict[tuple[int, ...], list[int]] = {}
    for i, (start, stop) in enumerate(zip(weights.indptr, weights.indptr[1:], strict=False)):
        owners = np.unique(owner[weights.indices[start:stop]])
        found.setdefault(tuple(int(o) for o in owners if o >= 0), []).append(i)
    return [(np.asarray(rows), owners) for owners, rows in found.items()]
