r"""Atoms and forms: named vectors in the residual stream, and linear readings of them.

An atom is a vector that the transformer stores in some of its tokens. A form is an affine function
of atoms in the same token, `sum_k A_k atom_k`; constants ride on the atoms that flag a token's
kind. Forms cost nothing: whoever reads one folds the matrices into its own weights.
Axes: `s` size of a form, `a` size of an atom.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import scipy.sparse as sp

Tokens = Literal["data", "register"]
Matrix = sp.csr_array
_serial = itertools.count()


@dataclass(frozen=True, eq=False)
class Atom:
    """A vector stored in the residual stream of data tokens or of register tokens.

    Args:
        name: What a reader of the anatomy calls it.
        tokens: Which tokens hold it; it is zero in all others.
        size: Its number of coordinates.
        replicated: For register tokens, whether every register holds the same vector.
        source: The line of the user's code that it comes from.
        large: Whether its numbers may be so large that what is added to the same coordinates in
            the half-layer that wipes them would be lost to rounding.
    """

    name: str
    tokens: Tokens
    size: int
    replicated: bool = False
    source: str = ""
    large: bool = False
    serial: int = field(default_factory=lambda: next(_serial), compare=False)


def matrix(values: object, shape: tuple[int, int] | None = None) -> Matrix:
    """A canonical sparse matrix: sorted, without duplicates or stored zeros."""
    result = sp.csr_array(values, shape=shape, dtype=np.float64)
    result.sum_duplicates()
    result.eliminate_zeros()
    return result


def eye(rows: int, columns: int | None = None, scale: float = 1.0) -> Matrix:
    """A rectangular identity."""
    return matrix(scale * sp.eye_array(rows, columns or rows, format="csr"))


def selection(picks: np.ndarray, columns: int) -> Matrix:
    """The matrix whose row `i` picks entry `picks[i]`, or nothing where that is negative."""
    picks = np.asarray(picks, np.int64).ravel()
    rows = np.flatnonzero(picks >= 0)
    return matrix((np.ones(rows.size), (rows, picks[rows])), (picks.size, columns))


def dims(values: Matrix) -> tuple[int, int]:
    """Rows and columns."""
    rows, columns = values.shape or (0, 0)
    return int(rows), int(columns)


def content(values: Matrix) -> tuple:
    """A hashable key for what a matrix holds."""
    entries = values.indptr.astype(np.int64), values.indices.astype(np.int64), values.data + 0.0
    return values.shape, *(part.tobytes() for part in entries)


def same(one: Matrix, other: Matrix) -> bool:
    """Whether two canonical matrices hold the same numbers."""
    return content(one) == content(other)


@dataclass(frozen=True, eq=False)
class Form:
    """An affine reading of atoms in a token: `sum_k A_k atom_k`, with `A_k` of shape `(s, a_k)`."""

    tokens: Tokens
    size: int
    terms: Mapping[Atom, Matrix]

    @staticmethod
    def of(atom: Atom) -> "Form":
        """The atom itself."""
        return Form(atom.tokens, atom.size, {atom: eye(atom.size)})

    @staticmethod
    def zero(tokens: Tokens, size: int) -> "Form":
        """The form that is zero."""
        return Form(tokens, size, {})

    @staticmethod
    def stack(forms: Iterable["Form"]) -> "Form":
        """Forms one above the other."""
        forms = list(forms)
        total = sum(form.size for form in forms)
        atoms = dict.fromkeys(atom for form in forms for atom in form.terms)
        terms = {
            atom: matrix(
                sp.vstack([form.terms.get(atom, matrix((form.size, atom.size))) for form in forms])
            )
            for atom in atoms
        }
        return Form(forms[0].tokens, total, terms)

    def mapped(self, weights: Matrix) -> "Form":
        """`weights @ form`."""
        return self._each(lambda a: weights @ a, dims(weights)[0])

    def scaled(self, factor: float | np.ndarray) -> "Form":
        """The form times a number, or row by row times a vector."""
        if np.ndim(factor) == 0:
            return self._each(lambda a: a * float(factor), self.size)
        return self.mapped(matrix(sp.diags_array(np.asarray(factor, float).ravel(), format="csr")))

    def __add__(self, other: "Form") -> "Form":
        terms = dict(self.terms)
        for atom, weights in other.terms.items():
            terms[atom] = terms[atom] + weights if atom in terms else weights
        return Form(self.tokens, self.size, terms)._each(lambda a: a, self.size)

    def __sub__(self, other: "Form") -> "Form":
        return self + other.scaled(-1.0)

    def without(self, atom: Atom) -> "Form":
        """The same form without one of its atoms."""
        return Form(self.tokens, self.size, {a: w for a, w in self.terms.items() if a is not atom})

    def _each(self, change: Callable[[Matrix], Matrix], size: int) -> "Form":
        changed = {atom: matrix(change(weights)) for atom, weights in self.terms.items()}
        return Form(self.tokens, size, {a: w for a, w in changed.items() if w.nnz})

    @cached_property
    def key(self) -> tuple:
        """Equal for forms that read the same thing."""
        terms = sorted(self.terms.items(), key=lambda term: term[0].serial)
        return self.tokens, self.size, tuple((a.serial, content(w)) for a, w in terms)

    def substituted(self, replacements: Mapping[Atom, "Form"]) -> "Form":
        """The form with some atoms replaced by forms of their size."""
        if not any(atom in replacements for atom in self.terms):
            return self
        total = Form.zero(self.tokens, self.size)
        for atom, weights in self.terms.items():
            new = replacements.get(atom)
            total = total + (
                Form(self.tokens, self.size, {atom: weights})
                if new is None
                else new.mapped(weights)
            )
        return total


def eye_at(rows: int, columns: int, start: int) -> Matrix:
    """An identity block that begins at row `start`."""
    index = np.arange(columns)
    return matrix((np.ones(columns), (index + start, index)), (rows, columns))
