r"""Operations that only move entries: reshape, transpose, slice, pad, concatenate, broadcast.

Each is read off by applying it to the positions of its input, so no operation needs a rule of its
own. In data tokens the result is a selection matrix folded into the readers. For shared matrices
`P X Q` the rows and the columns must move separately, otherwise the matrix is split by columns.
Axes: `a` rows and `b` columns of a shared matrix.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from innerloop.compiler.errors import Refused
from innerloop.compiler.forms import Matrix, matrix, selection
from innerloop.compiler.lower.layout import as_local, as_shared, settle
from innerloop.compiler.lower.shared import Context, mapped_terms, transposed
from innerloop.compiler.values import (
    Local,
    Outer,
    Pending,
    Shape,
    Shared,
    Static,
    Term,
    Value,
    canonical,
    is_local,
    size,
)

PLACINGS = ("dynamic_update_slice", "scatter", "scatter-add")
MOVES = (
    "reshape", "squeeze", "expand_dims", "broadcast_in_dim", "transpose", "slice", "rev", "copy",
    "copy_p", "stop_gradient", "optimization_barrier", "reduce_precision", "gather",
    "dynamic_slice",
)  # fmt: skip
_MOST_TERMS = 256


def bind(eqn, *arrays: np.ndarray) -> np.ndarray:
    """The primitive itself, on numbers."""
    out = eqn.primitive.bind(*(jnp.asarray(a) for a in arrays), **eqn.params)
    return np.asarray(out[0] if eqn.primitive.multiple_results else out)


def lower_split(eqn, inputs: list[Value], context: Context) -> list[Value]:
    """A value cut into pieces."""
    positions = np.arange(size(inputs[0].shape)).reshape(inputs[0].shape)
    pieces = eqn.primitive.bind(jnp.asarray(positions), **eqn.params)
    return [moved(inputs[0], np.asarray(piece), context) for piece in pieces]


def lower_placed(eqn, inputs: list[Value], context: Context) -> list[Value]:
    """Entries of one array written over those of another, or added to them."""
    value, fixed, update = _placed_operands(eqn, inputs)
    shape = eqn.outvars[0].aval.shape
    empty = np.full(shape, -1)
    picks = _bound_at(eqn, empty, fixed, np.arange(size(update.shape)).reshape(update.shape))
    kept = np.arange(size(shape)).reshape(shape)
    if eqn.primitive.name == "scatter-add":
        marks = _bound_at(eqn, np.zeros(shape, int), fixed, np.ones(update.shape, int))
        if marks.max(initial=0) > 1:
            raise Refused("it adds several entries at one position.", "Use a sum or a product.")
        picks = np.where(marks > 0, picks + 1, -1)
    else:
        kept = np.where(picks < 0, kept, -1)
    return [summed([moved(value, kept, context), moved(update, picks, context)], shape, context)]


def _placed_operands(eqn, inputs: list[Value]) -> tuple[Value, list[np.ndarray], Value]:
    if eqn.primitive.name == "dynamic_update_slice":
        value, update, *places = inputs
    else:
        value, *places, update = inputs
    if not all(isinstance(v, Static) and not v.varying for v in places):
        raise Refused(
            "it writes entries at positions that depend on the data.", "Use fixed positions."
        )
    return value, [v.array for v in places if isinstance(v, Static)], update


def _bound_at(eqn, array: np.ndarray, places: list[np.ndarray], update: np.ndarray) -> np.ndarray:
    if eqn.primitive.name == "dynamic_update_slice":
        return bind(eqn, array, update, *places)
    return bind(eqn, array, *places, update)


def lower_move(eqn, inputs: list[Value], context: Context) -> list[Value]:
    """An operation each of whose outputs is one entry of its first input."""
    value, *others = inputs
    if not all(isinstance(v, Static) and not v.varying for v in others):
        raise Refused(
            "it picks entries at positions that depend on the data.",
            "Use fixed positions, or a product with a one-hot vector.",
        )
    fixed = [v.array for v in others if isinstance(v, Static)]
    shape = eqn.outvars[0].aval.shape
    positions = np.arange(size(value.shape)).reshape(value.shape)
    picks = bind(eqn, positions, *fixed)
    return [moved(value, picks.reshape(shape), context)]


def moved(value: Value, picks: np.ndarray, context: Context) -> Value:
    """The value whose entry `i` is entry `picks[i]` of the old one, or zero where negative."""
    shape = picks.shape
    match value:
        case Static(array=array, varying=True):
            flat = array.reshape(array.shape[0], -1)
            return Static(np.where(picks >= 0, flat[:, picks], 0.0), varying=True)
        case Static(array=array):
            return Static(np.where(picks >= 0, array.ravel()[picks], np.zeros((), array.dtype)))
        case Pending() if value.tokens == "data" and (picks >= 0).all():
            base = value.base.mapped(selection(picks, value.base.size))
            return Pending(base, value.function, shape)
        case Pending() if value.tokens == "register" and (picks >= 0).all():
            return _moved_pending(value, picks, context)
        case Outer():
            return _moved_outer(value, picks, context)
        case Shared():
            return _moved_shared(value, picks)
    value = settle(value, context)
    if isinstance(value, Shared):
        return _moved_shared(value, picks)
    assert isinstance(value, Local)
    return Local(value.form.mapped(selection(picks, value.form.size)), shape)


def _axes_moved(picks: np.ndarray, old: Shape) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """Row picks, column picks, and whether rows became columns; None if they do not separate."""
    a, b = canonical(old)
    c, d = canonical(picks.shape)
    grid = picks.reshape(c, d)
    rows, columns = np.where(grid >= 0, grid // b, -1), np.where(grid >= 0, grid % b, -1)
    for swapped in (False, True):
        by_row, by_column = (columns, rows) if swapped else (rows, columns)
        row_picks, column_picks = by_row.max(axis=1), by_column.max(axis=0)
        straight = (row_picks[:, None] >= 0) & (column_picks[None, :] >= 0)
        expected = row_picks[:, None] * b + column_picks[None, :]
        if swapped:
            expected = column_picks[None, :] * b + row_picks[:, None]
        if (np.where(straight, expected, -1) == grid).all():
            return row_picks, column_picks, swapped
    del a
    return None


def _moved_shared(value: Shared, picks: np.ndarray) -> Shared:
    """A shared matrix with its entries moved."""
    a, b = canonical(value.shape)
    separate = _axes_moved(picks, value.shape)
    if separate is not None:
        rows, columns, swapped = separate
        kept = transposed(value.terms) if swapped else value.terms
        first, second = (b, a) if swapped else (a, b)
        left, right = selection(rows, first), selection(columns, second)
        return Shared(mapped_terms(kept, left, matrix(right.T)), picks.shape)
    c, d = canonical(picks.shape)
    if min(a, b) * d > _MOST_TERMS:
        raise Refused(
            f"it rearranges a shared {a} x {b} matrix into {picks.shape} entry by entry.",
            "Keep parameters in the shape in which they are used.",
        )
    terms: list[Term] = []
    turned = b > a
    source = transposed(value.terms) if turned else value.terms
    grid = picks.reshape(c, d)
    along, across = np.where(grid >= 0, grid // b, -1), np.where(grid >= 0, grid % b, -1)
    if turned:
        along, across = across, along
    for k in range(min(a, b)):
        for column in range(d):
            chosen = np.where(across[:, column] == k, along[:, column], -1)
            if (chosen < 0).all():
                continue
            left = selection(chosen, max(a, b))
            right = matrix(([1.0], ([k], [column])), (min(a, b), d))
            terms += mapped_terms(source, left, right)
    return Shared(tuple(terms), picks.shape)


def _moved_pending(value: Pending, picks: np.ndarray, context: Context) -> Value:
    """A pending function of registers stays pending while its rows stay where they are."""
    separate = _axes_moved(picks, value.shape)
    a, _ = canonical(value.shape)
    c, _ = canonical(picks.shape)
    if separate is not None and not separate[2]:
        rows, columns, _ = separate
        keeps = value.replicated or (c == a and (rows == np.arange(a)).all())
        if keeps and (columns >= 0).all() and (rows >= 0).all():
            base = value.base.mapped(selection(columns, value.base.size))
            return Pending(base, value.function, picks.shape, value.replicated)
    return _moved_shared(_shared(settle(value, context)), picks)


def _shared(value: Value) -> Shared:
    assert isinstance(value, Shared)
    return value


def _moved_outer(value: Outer, picks: np.ndarray, context: Context) -> Value:
    separate = _axes_moved(picks, value.shape)
    if separate is None:
        form = settle(value, context)
        assert isinstance(form, Local)
        return Local(form.form.mapped(selection(picks, form.form.size)), picks.shape)
    rows, columns, swapped = separate
    pairs = tuple((v, u) if swapped else (u, v) for u, v in value.pairs)
    return Outer(
        tuple(
            (u.mapped(selection(rows, u.size)), v.mapped(selection(columns, v.size)))
            for u, v in pairs
        ),
        picks.shape,
    )


def lower_concatenate(eqn, inputs: list[Value], context: Context) -> list[Value]:
    """Values side by side: each is padded with zeros to the whole, and they are added."""
    dimension, shape = eqn.params["dimension"], eqn.outvars[0].aval.shape
    starts = np.cumsum([0, *(v.shape[dimension] for v in inputs)])
    parts = []
    for value, start in zip(inputs, starts, strict=False):
        picks = np.full(shape, -1)
        window = [slice(None)] * len(shape)
        window[dimension] = slice(start, start + value.shape[dimension])
        picks[tuple(window)] = np.arange(size(value.shape)).reshape(value.shape)
        parts.append(moved(value, picks, context))
    return [summed(parts, shape, context)]


def lower_pad(eqn, inputs: list[Value], context: Context) -> list[Value]:
    """A value among constants."""
    value, filler = inputs
    if not (isinstance(filler, Static) and not filler.varying):
        raise Refused("it pads with a value that depends on the data.", "Pad with a constant.")
    positions = np.arange(size(value.shape)).reshape(value.shape)
    picks = bind(eqn, positions, np.asarray(-1))
    inside = moved(value, picks, context)
    outside = Static(np.where(picks < 0, filler.array, 0.0))
    return [summed([inside, outside], picks.shape, context)]


def summed(parts: list[Value], shape: Shape, context: Context) -> Value:
    """The sum of values of one shape, without neurons wherever they are linear."""
    from_tokens = any(is_local(v) for v in parts)
    statics = [v for v in parts if isinstance(v, Static)]
    if len(statics) == len(parts):
        varying = any(v.varying for v in statics)
        return Static(np.asarray(sum(np.asarray(v.array) for v in statics)), varying)
    total: Value | None = None
    for part in parts:
        if isinstance(part, Static) and not part.varying and not part.array.any():
            continue
        total = part if total is None else added(total, part, shape, from_tokens, context)
    return total if total is not None else Static(np.zeros(shape))


def added(first: Value, second: Value, shape: Shape, local: bool, context: Context) -> Value:
    """The sum of two values, one of them not static."""
    if isinstance(first, Outer) and isinstance(second, Outer):
        return Outer(first.pairs + second.pairs, shape)
    if local:
        forms = [as_local(v, shape, context) for v in (first, second)]
        return Local(forms[0] + forms[1], shape)
    one, two = (as_shared(v, shape, context) for v in (first, second))
    return Shared(one.terms + two.terms, shape)


def linear_map(function: Callable[[jax.Array], jax.Array], shape: Shape) -> Matrix:
    """The matrix of a linear function of an array of this shape."""
    basis = jnp.eye(size(shape)).reshape(size(shape), *shape)
    columns = jax.vmap(function)(basis)
    return matrix(np.asarray(columns).reshape(size(shape), -1).T)
