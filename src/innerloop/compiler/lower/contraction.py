r"""`dot_general`, by where its operands stand.

    constant @ value          folds into the readers
    shared   @ local          one head for each term: query the local vector, key the rows
    shared   @ shared         one head among the registers
    local    @ local          a sum of outer products, left as it is until its mean is taken

Axes: `f` free entries of an operand, `c` contracted entries.
"""

import itertools

import jax
import numpy as np

from innerloop.compiler.errors import Refused
from innerloop.compiler.forms import Form, content, dims, eye, matrix, selection
from innerloop.compiler.lower.layout import as_local, settle
from innerloop.compiler.lower.products import multiplied
from innerloop.compiler.lower.shared import (
    Context,
    align,
    is_replicated,
    mapped_terms,
    matvec,
    shared_from_rows,
    transposed,
)
from innerloop.compiler.lower.structure import linear_map, moved, summed
from innerloop.compiler.values import (
    Local,
    Outer,
    Pending,
    Reduction,
    Shape,
    Shared,
    Static,
    Term,
    Value,
    is_local,
    size,
)

_MOST_COLUMNS = 64


def lower_dot(eqn, inputs: list[Value], context: Context) -> list[Value]:
    """Any contraction of two arrays."""
    shape = eqn.outvars[0].aval.shape
    (first, second), (batch, _) = eqn.params["dimension_numbers"]
    inputs = [v if isinstance(v, Pending | Outer) else settle(v, context) for v in inputs]
    for k in (0, 1):
        other = inputs[1 - k]
        if isinstance(other, Static):
            return [_with_constant(eqn, inputs[k], other, k, shape, context)]
    if batch and any(inputs[0].shape[axis] != 1 for axis in batch):
        return [_batched(eqn, inputs, shape, context)]
    left = _as_matrix(inputs[0], first, context, contracted_last=True)
    right = _as_matrix(inputs[1], second, context, contracted_last=False)
    flat = (left.shape[0], right.shape[1])
    out = _product(left, right, flat, context)
    return [moved(out, np.arange(size(shape)).reshape(shape), context)]


def _as_matrix(value: Value, axes: tuple, context: Context, *, contracted_last: bool) -> Value:
    """The operand with its free axes on one side and its contracted axes on the other."""
    free = [axis for axis in range(len(value.shape)) if axis not in axes]
    order = [*free, *axes] if contracted_last else [*axes, *free]
    positions = np.arange(size(value.shape)).reshape(value.shape).transpose(order)
    f = size(tuple(value.shape[axis] for axis in free))
    c = size(tuple(value.shape[axis] for axis in axes))
    return moved(value, positions.reshape((f, c) if contracted_last else (c, f)), context)


def _with_constant(eqn, value: Value, constant: Static, k: int, shape: Shape, context: Context):
    """A linear map of one operand."""
    value = settle(value, context)

    def apply(array: jax.Array) -> jax.Array:
        operands = (array, constant.array) if k == 0 else (constant.array, array)
        return eqn.primitive.bind(*operands, **eqn.params)

    if isinstance(value, Local):
        return Local(value.form.mapped(linear_map(apply, value.shape)), shape)
    (first, second), _ = eqn.params["dimension_numbers"]
    axes = (first, second) if k == 0 else (second, first)
    assert isinstance(value, Shared)
    left = _as_matrix(value, axes[0], context, contracted_last=True)
    assert isinstance(left, Shared)
    moving = [a for a in range(constant.array.ndim) if a not in axes[1]]
    weights = constant.array.transpose([*axes[1], *moving]).reshape(left.shape[1], -1)
    out = _times_matrix(left, weights, context)
    f = left.shape[0]
    grid = np.arange(f * weights.shape[1]).reshape(f, -1)
    return moved(out, (grid if k == 0 else grid.T).reshape(shape), context)


def _two_axes(value: Shared) -> tuple[Term, ...]:
    """Terms for a matrix of shape `(f, c)`, also where one of them is one."""
    f, c = value.shape
    return transposed(value.terms) if f == 1 and c != 1 else value.terms


def _times_matrix(value: Shared, weights: np.ndarray, context: Context) -> Shared:
    """`value @ weights`, with `weights` constant."""
    f, g = value.shape[0], weights.shape[1]
    terms = mapped_terms(_two_axes(value), eye(f), matrix(weights))
    return _shared_of_matrix(terms, (f, g))


def _shared_of_matrix(terms: tuple[Term, ...], shape: Shape) -> Shared:
    """Terms of a matrix as a shared value; a single row is stored as a column."""
    return Shared(transposed(terms) if shape[0] == 1 and shape[1] != 1 else terms, shape)


def _product(left: Value, right: Value, flat: Shape, context: Context) -> Value:
    """`left (f, c) @ right (c, g)`, neither of them constant."""
    if is_local(left) and is_local(right):
        return _local_product(left, right, flat, context)
    if is_local(right):
        return _shared_local(settle(left, context), right, flat, context)
    if is_local(left):
        swapped = _shared_local(
            _turned(settle(right, context), context), _turned(left, context), flat[::-1], context
        )
        return _turned(swapped, context)
    return _shared_shared(settle(left, context), settle(right, context), flat, context)


def _turned(value: Value, context: Context) -> Value:
    """The transpose."""
    return moved(value, np.arange(size(value.shape)).reshape(value.shape).T, context)


def _shared_local(left: Value, right: Value, flat: Shape, context: Context) -> Value:
    """A shared matrix times a local matrix, column by column."""
    assert isinstance(left, Shared)
    f, g = flat
    c = right.shape[0]
    if g > _MOST_COLUMNS:
        raise Refused(
            f"a shared matrix is multiplied with {g} vectors in each token.",
            "Let every token hold one example.",
        )
    form = as_local(right, right.shape, context)
    columns = []
    for k in range(g):
        column = form.mapped(selection(np.arange(c) * g + k, c * g))
        out = matvec(_two_axes(left), column, f, context)
        columns.append(out.mapped(_column_places(f, g, k)))
    total = columns[0]
    for column in columns[1:]:
        total = total + column
    return Local(total, flat)


def _column_places(rows: int, columns: int, k: int):
    places = np.arange(rows) * columns + k
    return matrix((np.ones(rows), (places, np.arange(rows))), (rows * columns, rows))


def _local_product(left: Value, right: Value, flat: Shape, context: Context) -> Value:
    """`sum_k left[:, k] right[k, :]`: outer products, not computed until something needs them."""
    (f, g), c = flat, left.shape[1]
    if f == g == 1 and c > 1:
        column = (c,)
        both = multiplied(
            moved(left, np.arange(c), context),
            moved(right, np.arange(c), context),
            column,
            "data",
            context,
        )
        total = as_local(both, column, context).mapped(matrix(np.ones((1, c))))
        return Local(total, flat)
    u, v = as_local(left, left.shape, context), as_local(right, right.shape, context)
    pairs = tuple(
        (
            u.mapped(selection(np.arange(f) * c + k, f * c)),
            v.mapped(selection(k * g + np.arange(g), c * g)),
        )
        for k in range(c)
    )
    if f == 1:
        pairs = tuple((second, first) for first, second in pairs)
    return Outer(pairs, flat)


def _batched(eqn, inputs: list[Value], shape: Shape, context: Context) -> Value:
    """A contraction with batch axes: an entrywise product, then a sum."""
    (first, second), (batch, other_batch) = eqn.params["dimension_numbers"]
    if any(
        len(v.shape) - len(a) - len(b)
        for v, a, b in zip(inputs, (first, second), (batch, other_batch), strict=True)
    ):
        raise Refused(
            "it multiplies a stack of matrices.",
            "Write it with one matrix product for each of them.",
        )
    order = [[*batch, *first], [*other_batch, *second]]
    left, right = (
        moved(v, np.arange(size(v.shape)).reshape(v.shape).transpose(o), context)
        for v, o in zip(inputs, order, strict=True)
    )
    tokens = "data" if any(is_local(v) for v in inputs) else "register"
    product = multiplied(left, right, left.shape, tokens, context)
    rows = size(shape)
    total = moved(product, np.arange(size(product.shape)).reshape(rows, -1), context)
    parts = [
        moved(total, np.arange(rows) * total.shape[1] + k, context) for k in range(total.shape[1])
    ]
    return moved(summed(parts, (rows,), context), np.arange(rows).reshape(shape), context)


def _shared_shared(left: Value, right: Value, flat: Shape, context: Context) -> Value:
    """`P1 X1 Q1 P2 X2 Q2`: register `r` asks with row `r` of `X1`, rows of `X2` answer."""
    assert isinstance(left, Shared) and isinstance(right, Shared)
    f, g = flat
    c = left.shape[1]
    if f == g == 1 and c > 1:
        entries = [moved(value, np.arange(c), context) for value in (left, right)]
        both = settle(multiplied(entries[0], entries[1], (c,), "register", context), context)
        assert isinstance(both, Shared)
        return Shared(mapped_terms(both.terms, matrix(np.ones((1, c))), eye(1)), flat)
    if f == 1 and g > 1:
        turned = _shared_shared(_turned(right, context), _turned(left, context), (g, f), context)
        return _turned(turned, context)
    first, second = _two_axes(left), _two_axes(right)
    if min(len(first), len(second)) > 1 and all(map(_is_straight, (*first, *second))):
        return _rows_times_rows(left, right, flat, context)
    terms: list[Term] = []
    for one, two in itertools.product(first, second):
        terms.append(_term_product(one, two, f, g, context))
    return _shared_of_matrix(tuple(terms), flat)


def _is_straight(term: Term) -> bool:
    """Whether row `i` of the matrix stands on register `i`, up to a factor."""
    if not _is_rowwise(term) or term.left.nnz == 0:
        return False
    rows, columns = dims(term.left)
    return content(term.left) == content(eye(rows, columns, float(term.left.data[0])))


def _rows_times_rows(left: Shared, right: Shared, flat: Shape, context: Context) -> Shared:
    """A product of sums as one head: otherwise terms would multiply with every product."""
    c = left.shape[1]
    rows, values = (align(value, context) for value in (left, right))
    names = context.flags.row_names(c)
    atom = context.graph.head(rows, names, values, label="matrix product", source=context.source)
    return shared_from_rows(Form.of(atom), flat, context)


def _term_product(one: Term, two: Term, f: int, g: int, context: Context) -> Term:
    name = context.flags.name
    if one.body is name and not isinstance(two.body, Reduction):
        return Term(matrix(one.left @ one.right @ two.left), two.body, two.right, two.transposed)
    if two.body is name and not isinstance(one.body, Reduction):
        return Term(one.left, one.body, matrix(one.right @ two.left @ two.right), one.transposed)
    if _is_rowwise(one):
        return _asked(one.left, Form.of(_atom(one)).mapped(matrix(one.right.T)), two, g, context)
    shape = f, dims(one.right)[1]
    rows = align(_shared_of_matrix((one,), shape), context)
    stored = shared_from_rows(rows, shape, context)
    return _asked(stored.terms[0].left, rows, two, g, context)


def _is_rowwise(term: Term) -> bool:
    """Whether its rows stand on registers as they are."""
    return not term.transposed and not isinstance(term.body, Reduction)


def _atom(term: Term):
    assert not isinstance(term.body, Reduction)
    return term.body


def _asked(left, rows: Form, two: Term, g: int, context: Context) -> Term:
    """The term `left Z`, with `Z_r = rows_r @ two` computed by one head among the registers."""
    flags = context.flags
    if isinstance(two.body, Reduction):
        u, v = (two.body.v, two.body.u) if two.transposed else (two.body.u, two.body.v)
        mean = two.body.mean
    else:
        names, body = flags.row_names(flags.registers), Form.of(two.body)
        u, v = (body, names) if two.transposed else (names, body)
        mean = False
    atom = context.graph.head(
        rows,
        u.mapped(two.left),
        v.mapped(matrix(two.right.T)),
        mean=mean,
        label="matrix product",
        source=context.source,
        replicated=is_replicated(rows, context),
    )
    return Term(left, atom, eye(g))
