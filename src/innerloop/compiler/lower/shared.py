r"""Shared matrices on registers, and the heads that read and move them.

    align     row i of a shared matrix on register i        (a head among the registers, if need be)
    spread    a shared value in every data token             (heads from the registers)
    matvec    a shared matrix times a local vector           (a head from the registers)

Axes: `a` rows and `b` columns of a shared matrix, `R` registers.
"""

from dataclasses import dataclass, field

import numpy as np

from innerloop.compiler.errors import Refused
from innerloop.compiler.forms import Atom, Form, Matrix, Tokens, dims, eye, matrix, same, selection
from innerloop.compiler.graph import Flags, Graph
from innerloop.compiler.values import Reduction, Shape, Shared, Static, Term, canonical

_MOST_HEADS = 256


class NeedsRegisters(Exception):
    """More registers are needed than were planned; lowering starts again with `rows` of them."""

    def __init__(self, rows: int):
        self.rows = rows
        super().__init__(rows)


@dataclass
class Context:
    """What the lowering of one program knows.

    Args:
        graph: The operations so far.
        steps: How many times a step runs; the length of varying statics.
        clocks: By tokens, the atom that counts the steps, for values that follow a schedule.
        source: The line of the user's code being lowered.
        shift_cancels: Whether the maxima in the trace are shifts that change nothing.
    """

    graph: Graph
    steps: int
    clocks: dict[str, Atom] = field(default_factory=dict)
    source: str = ""
    shift_cancels: bool = False

    @property
    def flags(self) -> Flags:
        """The flag atoms."""
        return self.graph.flags


def transposed(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """`(P X Q)^T = Q^T X^T P^T`, term by term."""
    return tuple(Term(matrix(t.right.T), t.body, matrix(t.left.T), not t.transposed) for t in terms)


def mapped_terms(terms: tuple[Term, ...], left: Matrix, right: Matrix) -> tuple[Term, ...]:
    """`left M right`, term by term."""
    return tuple(
        Term(matrix(left @ t.left), t.body, matrix(t.right @ right), t.transposed) for t in terms
    )


def shared_from_rows(form: Form, shape: Shape, context: Context) -> Shared:
    """A shared value whose row `i` is what `form` reads on register `i`."""
    a, b = canonical(shape)
    check_rows(a, context)
    rows = eye(a, context.flags.registers)
    del b
    return Shared(tuple(Term(rows, x, matrix(w.T)) for x, w in form.terms.items()), shape)


def check_rows(rows: int, context: Context) -> None:
    """Asks for more registers where a matrix has more rows than there are."""
    if rows > context.flags.registers:
        raise NeedsRegisters(rows)


def static_form(value: Static, context: Context, *, tokens: Tokens, shape: Shape) -> Form:
    """A constant as a form: flattened in data tokens, row by row on registers."""
    array = np.broadcast_to(np.asarray(value.array, np.float64), shape)
    if tokens == "data":
        return context.flags.constant("data", array.ravel())
    a, b = canonical(shape)
    rows = array.reshape(a, b)
    if (rows == rows[:1]).all():
        return context.flags.constant("register", rows[0])
    check_rows(a, context)
    padded = np.zeros((b, context.flags.registers))
    padded[:, :a] = rows.T
    return Form("register", b, {context.flags.name: matrix(padded)})


def is_replicated(form: Form, context: Context) -> bool:
    """Whether a form reads the same on every register."""
    for atom, weights in form.terms.items():
        if atom is context.flags.name:
            dense = weights.toarray()
            if not (dense == dense[:, :1]).all():
                return False
        elif not atom.replicated:
            return False
    return True


def align(value: Shared, context: Context) -> Form:
    """The form that reads row `i` of `value` on register `i`; a scalar, on every register."""
    a, b = canonical(value.shape)
    check_rows(a, context)
    total = Form.zero("register", b)
    for term in value.terms:
        total = total + _align_term(term, a, b, context)
    return total


def _align_term(term: Term, a: int, b: int, context: Context) -> Form:
    flags, body = context.flags, term.body
    scalar = (a, b) == (1, 1)
    if isinstance(body, Atom) and not term.transposed:
        if body is flags.name:
            constant = Static(matrix(term.left @ term.right).toarray())
            return static_form(constant, context, tokens="register", shape=(a, b))
        sums = np.asarray(term.left.sum(axis=1)).ravel()
        if body.replicated and (sums == sums[0]).all():
            return Form.of(body).mapped(matrix(term.right.T * sums[0]))
        scale = term.left.data[0] if term.left.nnz else 0.0
        straight = eye(a, flags.registers, scale)
        if not scalar and same(term.left, straight):
            return Form.of(body).mapped(matrix(term.right.T * scale))
    return _moved(term, a, context)


def _moved(term: Term, a: int, context: Context) -> Form:
    """A head that brings rows to their registers: `out_i = sum_s left[i, s] X_s right`."""
    flags, body = context.flags, term.body
    scale = term.left.data[0] if term.left.nnz else 1.0
    left = matrix(term.left / scale)
    mean, label = False, "move rows"
    if isinstance(body, Reduction):
        u, v = (body.v, body.u) if term.transposed else (body.u, body.v)
        pair = [name for name in (said(u, context), said(v, context)) if name != "1"]
        mean, label = body.mean, f"{'mean' if body.mean else 'sum'} of {' x '.join(pair) or '1'}"
    elif term.transposed:
        u, v = Form.of(body), flags.row_names(flags.registers)
        label = "transpose"
    else:
        u, v = flags.row_names(flags.registers), Form.of(body)
    right = term.right
    inner, outer = dims(right)
    if inner > outer:
        v, right = v.mapped(matrix(right.T)), eye(outer)
    first = left[[0], :]
    alike = a > 1 and same(left, matrix(np.ones((a, 1)) @ first.toarray()))
    replicated = alike or a == 1
    if replicated:
        query, key = flags.constant("register", [1.0]), u.mapped(matrix(first))
    else:
        key = u.mapped(left)
        query = flags.row_names(a)
    atom = context.graph.head(
        query,
        key,
        v,
        mean=mean,
        label=label,
        replicated=replicated,
        source=getattr(body, "source", "") if isinstance(body, Reduction) else context.source,
    )
    return Form.of(atom).mapped(matrix(right.T * scale))


def spread(value: Shared, context: Context) -> Form:
    """A shared value in every data token, flattened row by row."""
    a, b = canonical(value.shape)
    if min(a, b) > _MOST_HEADS:
        raise Refused(
            f"a {a} x {b} matrix of parameters would have to be copied into every token.",
            "Multiply it with a vector instead.",
        )
    total = Form.zero("data", a * b)
    for term in value.terms:
        total = total + _spread_term(term, a, b, context)
    return total


def _spread_term(term: Term, a: int, b: int, context: Context) -> Form:
    flags, body = context.flags, term.body
    if isinstance(body, Reduction):
        rows, columns, mean = body.u, body.v, body.mean
    else:
        rows, columns, mean = flags.row_names(flags.registers), Form.of(body), False
    if term.transposed:
        rows, columns = columns, rows
    rows, columns = rows.mapped(term.left), columns.mapped(matrix(term.right.T))
    one = flags.constant("data", [1.0])
    total = Form.zero("data", a * b)
    for k in range(min(a, b)):
        single = selection(np.array([k]), min(a, b))
        key, whole = (columns.mapped(single), rows) if b <= a else (rows.mapped(single), columns)
        atom = context.graph.head(
            one, key, whole, mean=mean, label=_copied(body, context), source=context.source
        )
        places = np.arange(a) * b + k if b <= a else k * b + np.arange(b)
        put = matrix((np.ones(places.size), (places, np.arange(places.size))), (a * b, places.size))
        total = total + Form.of(atom).mapped(put)
    return total


def said(form: Form, context: Context) -> str:
    """A form in a word or two: the atom that it reads, `(...)` where that takes more words."""
    flags = (context.flags.one, context.flags.name)
    names = [atom.name for atom in form.terms if atom not in flags]
    if len(names) > 1 or any(" " in name for name in names):
        return "(...)"
    return names[0] if names else "1"


def _copied(body: Atom | Reduction, context: Context) -> str:
    if isinstance(body, Atom):
        return f"copy of {body.name}"
    return f"{'mean' if body.mean else 'sum'} of {said(body.u, context)}"


def used_rows(weights: Matrix) -> np.ndarray:
    """The rows of a matrix that hold anything."""
    return np.flatnonzero(np.diff(weights.indptr))


def matvec(terms: tuple[Term, ...], vector: Form, rows: int, context: Context) -> Form:
    """A shared matrix times a local vector: one head for each term.

    `W h = sum_r <W_r, h> e_r`: query `h`, key the row, value the row's name.
    `W^T g = sum_r g_r W_r`: query `g`, key the row's name, value the row.
    """
    flags = context.flags
    total = Form.zero("data", rows)
    for term in terms:
        body = term.body
        if isinstance(body, Atom) and body is flags.name:
            total = total + vector.mapped(matrix(term.left @ term.right))
            continue
        picks = used_rows(term.right)
        query = vector.mapped(matrix(term.right[picks]))
        if isinstance(body, Reduction):
            u, v = (body.v, body.u) if term.transposed else (body.u, body.v)
            mean, label = body.mean, "attend to context"
        else:
            u, v = flags.row_names(flags.registers), Form.of(body)
            mean, label = False, f"{body.name} @ {said(vector, context)}"
            if term.transposed:
                u, v, label = v, u, f"{body.name}.T @ {said(vector, context)}"
        key = v.mapped(selection(picks, v.size))
        atom = context.graph.head(
            query, key, u.mapped(term.left), mean=mean, label=label, source=context.source
        )
        total = total + Form.of(atom)
    return total
