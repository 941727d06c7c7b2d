r"""Neurons that bend one scalar, all together by the piece on which the scalar lies.

    sum_i w_i relu(s_i z + k_i) (r_i z + m_i)  =  v_j + (z - c_j) (a_j + (z - c_j) b_j)

on the piece `j` between two neighbouring knots `-k_i / s_i`. A thousand neurons that stand for a
smooth function cost a search among a thousand knots. The coefficients are taken about the knot
`c_j` at which the piece begins, and summed with 120 decimal digits, so that nothing cancels: what
comes out is the exact sum, to a few roundings of the numbers in it. Neurons that are added up one
by one lose a rounding of the largest of them, which is more.
Axes: `f` neurons, `r` residual width, `z` scalars with one function, `k` knots.
"""

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, Float, Int

from innerloop.compiler.forms import Matrix, dims, matrix, selection
from innerloop.compiler.runner.known import Known
from innerloop.compiler.runner.sparse import SparseNeurons
from innerloop.compiler.runner.stack import Stack

_FEWEST = 16
"""So many neurons of one scalar are worth a search."""
_DIGITS = 120
_ULPS = 4
"""Rows may be this many roundings apart from multiples of each other."""


class Curve(NamedTuple):
    """One piecewise polynomial of several scalars.

    Args:
        reads: The scalars, as readings of the stream.
        out: What each adds to the stream for every unit of the function.
        knots: In order.
        pieces: By piece `c`, `v`, `a` and `b`; there is one piece more than knots.
    """

    reads: Matrix
    out: Matrix
    knots: Float[np.ndarray, " k"]
    pieces: Float[np.ndarray, "pieces 4"]

    def of(self, stack: Stack) -> Float[Array, "z t"]:
        """Its values in every token."""
        scalars = stack.mapped(self.reads).joined()
        place = jnp.searchsorted(jnp.asarray(self.knots), scalars)
        start, value, slope, bend = jnp.moveaxis(jnp.asarray(self.pieces)[place], -1, 0)
        distance = scalars - start
        return value + distance * (slope + distance * bend)


class Curved(NamedTuple):
    """Neurons of one group of tokens: those that make curves, and the others."""

    curves: tuple[Curve, ...]
    others: SparseNeurons


class _Scalars(NamedTuple):
    """Neurons in the order of the scalars that they bend.

    Args:
        neurons: Which neurons, scalar by scalar and from knot to knot.
        starts: Where each scalar begins among them.
        numbers: By neuron `s`, `k`, `r`, `m` and `w`.
        reads: The scalars.
        out: Where they go.
    """

    neurons: Int[np.ndarray, " f"]
    starts: Int[np.ndarray, " z"]
    numbers: Float[np.ndarray, "f 5"]
    reads: Matrix
    out: Matrix


def curved(neurons: SparseNeurons, known: Known, dtype: str) -> Curved:
    """Separates the neurons that make curves.

    Args:
        neurons: Neurons of one group of tokens.
        known: What is known there of the stream that they read.
        dtype: The precision of the run.
    """
    if len(neurons.rectified) < _FEWEST:
        return Curved((), neurons)
    scalars = _scalars(neurons, known)
    bounds = np.append(scalars.starts, len(scalars.neurons))
    alike: dict[bytes, list[int]] = {}
    for i, (start, stop) in enumerate(zip(bounds, bounds[1:], strict=False)):
        alike.setdefault(scalars.numbers[start:stop].tobytes(), []).append(i)
    curves, others = [], np.ones(len(neurons.rectified), bool)
    for members in alike.values():
        start, stop = bounds[members[0]], bounds[members[0] + 1]
        knots, pieces = _pieces(scalars.numbers[start:stop])
        with np.errstate(over="ignore"):
            knots, pieces = knots.astype(dtype), pieces.astype(dtype)
        if np.isfinite(pieces).all():
            places = np.asarray(members)
            reads, out = matrix(scalars.reads[places]), matrix(scalars.out[:, places])
            curves.append(Curve(reads, out, knots, pieces))
            for member in members:
                others[scalars.neurons[bounds[member] : bounds[member + 1]]] = False
    return Curved(tuple(curves), neurons.chosen(np.flatnonzero(others)))


@np.errstate(all="ignore")
def _scalars(neurons: SparseNeurons, known: Known) -> _Scalars:
    """The neurons of every scalar that enough of them bend."""
    gate, opens = _split(neurons.gate, neurons.gate_bias, known)
    value, rises = _split(neurons.value, neurons.value_bias, known)
    out = matrix(neurons.out.T)
    even = (opens == opens[:, :1]).all(axis=1) & (rises == rises[:, :1]).all(axis=1)
    here = np.flatnonzero(neurons.rectified & even & (np.diff(gate.indptr) > 0))
    here = here[np.diff(out.indptr)[here] > 0]
    gate, value, out = gate[here], value[here], out[here]
    first = _leaders(_directions(gate), _supports(out))
    fits, scales = [], []
    for rows, models in ((gate, gate), (value, gate), (out, out)):
        scale, fit = _multiples(rows, matrix(models[first]))
        fits.append(fit)
        scales.append(scale)
    s, r, w = scales
    numbers = np.stack([s, opens[here, 0], r, rises[here, 0], w], axis=1)
    knots = -numbers[:, 1] / numbers[:, 0]
    fit = np.all(fits, axis=0) & np.isfinite(np.column_stack([numbers, knots])).all(axis=1)
    counts = np.bincount(first[fit], minlength=len(here))
    kept = np.flatnonzero(fit & (counts[first] >= _FEWEST))
    kept = kept[np.lexsort((knots[kept], first[kept]))]
    leaders, starts = np.unique(first[kept], return_index=True)
    return _Scalars(
        here[kept], starts, numbers[kept], matrix(gate[leaders]), matrix(matrix(out[leaders]).T)
    )


def _split(weights: Matrix, bias: np.ndarray, known: Known) -> tuple[Matrix, np.ndarray]:
    """What a map reads of the rows that vary, and what the known ones and its bias add."""
    reads = _with_data(weights, weights.data * known.varying[weights.indices])
    return reads, weights @ known.values + bias[:, None]


def _directions(rows: Matrix) -> np.ndarray:
    """A number for each row, the same for rows that are multiples of each other."""
    counts = np.diff(rows.indptr)
    return _sums(np.divide(rows.data, np.repeat(rows.data[rows.indptr[:-1]], counts)), rows)


def _supports(rows: Matrix) -> np.ndarray:
    """A number for each row, the same for rows with entries at the same places."""
    return _sums(np.ones(rows.nnz), rows)


def _sums(data: np.ndarray, rows: Matrix) -> np.ndarray:
    probe = np.random.default_rng(0).normal(size=dims(rows)[1])
    return _with_data(rows, data) @ probe


def _leaders(*keys: np.ndarray) -> Int[np.ndarray, " f"]:
    """For each row the first one with the same keys."""
    _, first, number = np.unique(np.stack(keys), axis=1, return_index=True, return_inverse=True)
    return first[number.ravel()]


def _multiples(rows: Matrix, models: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """By which factor each row is a multiple of its model, and whether it is one to rounding."""
    starts = models.indptr[:-1]
    lead = models.indices[starts]
    there = np.asarray(rows.multiply(selection(lead, dims(rows)[1])).sum(axis=1)).ravel()
    scale = there / models.data[starts]
    scaled = _with_data(models, models.data * np.repeat(scale, np.diff(models.indptr)))
    gap = abs(rows - scaled)
    allowed = _ULPS * np.finfo(np.float64).eps * abs(rows)
    return scale, (gap - allowed).max(axis=1).toarray().ravel() <= 0.0


def _with_data(rows: Matrix, data: np.ndarray) -> Matrix:
    """Other numbers in the same places."""
    return matrix(sp.csr_array((data, rows.indices.copy(), rows.indptr.copy()), dims(rows)))


def _pieces(
    numbers: Float[np.ndarray, "f 5"],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "pieces 4"]]:
    """Knots, and `c`, `v`, `a` and `b` of every piece."""
    context = Context(prec=_DIGITS)
    exact = [[context.create_decimal_from_float(float(x)) for x in row] for row in numbers]
    knots = -numbers[:, 1] / numbers[:, 0]
    terms = [_parabola(context, *row) for row in exact]
    total = [Decimal(0)] * 3
    for row, term in zip(exact, terms, strict=True):
        if row[0] < 0:
            total = [context.add(a, b) for a, b in zip(total, term, strict=True)]
    made = [_about(context, knots[0], total)]
    for knot, row, term in zip(knots, exact, terms, strict=True):
        change = context.add if row[0] > 0 else context.subtract
        total = [change(a, b) for a, b in zip(total, term, strict=True)]
        made.append(_about(context, knot, total))
    return knots, np.asarray(made)


def _parabola(
    context: Context, s: Decimal, k: Decimal, r: Decimal, m: Decimal, w: Decimal
) -> list[Decimal]:
    """The coefficients of `w (s z + k) (r z + m)`, of the constant first."""
    by, plus = context.multiply, context.add
    return [by(w, x) for x in (by(k, m), plus(by(s, m), by(k, r)), by(s, r))]


def _about(context: Context, knot: float, parabola: Sequence[Decimal]) -> list[float]:
    """A parabola as its value, slope and bend at a knot."""
    by, plus = context.multiply, context.add
    (constant, slope, bend), c = parabola, Decimal(float(knot))
    tangent = plus(slope, by(bend, c))
    return [
        float(knot),
        *map(float, (plus(constant, by(tangent, c)), plus(tangent, by(bend, c)), bend)),
    ]
