r"""Copies of small matrices in every token: attention or neurons may multiply with them.

A matrix on the registers is read by attention, `W h = sum_r <W_r, h> e_r`, half a layer before the
neurons that go on. A token that carries `W` itself, as those of Bai et al. and Wu et al. do,
multiplies in the neurons: with `h = relu(z)`, `W relu(z)` takes the half-layer that `relu(z)` took.

    W_i' = a W_i + mean_j g_ji h_j      in every token:  the same, a head for each row, or column

Both ways of reading are kept open: of the readings, forward and backward, those go by copies whose
change makes a forward pass shallower.
Axes: `i`, `r` rows, `b` columns of a matrix; `R` registers.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from innerloop.compiler.dual import names_of, outer_heads, rewritten
from innerloop.compiler.forms import Atom, Form, Matrix, content, eye, matrix, selection
from innerloop.compiler.graph import Head, Operation, Product, Program
from innerloop.compiler.programs import Programs

_MOST_ENTRIES = 256
_MOST_HEADS = 16


@dataclass(frozen=True, eq=False)
class _Reading:
    """A head that reads one matrix of the state for data tokens, a row a register.

    Args:
        head: The head.
        state: The matrix.
        rows: `A`, what is read of a row.
        names: `B`, what stands for a row.
        by_key: Whether the matrix is read by the head's key, or by its value.
    """

    head: Head
    state: Atom
    rows: Matrix
    names: Matrix
    by_key: bool

    @property
    def way(self) -> Hashable:
        """Equal for readings that are carried by copies together."""
        return self.state, content(self.rows), content(self.names), self.by_key

    @property
    def height(self) -> int:
        """How many rows it reads."""
        return 1 + int(sp.coo_array(self.names).col.max(initial=-1))

    def by_neurons(self, copy: Atom) -> tuple[Product, Form]:
        """The products with the copy, and what they add up to."""
        columns, height = self.state.size, copy.size // self.state.size
        names = matrix(self.names[:, :height])
        if self.by_key:
            asked = sp.kron(np.ones((height, 1)), self.rows.T)
            total = sp.kron(names, np.ones((1, columns)))
        else:
            asked = sp.kron(names.T, np.ones((columns, 1)))
            total = sp.kron(np.ones((1, height)), self.rows)
        out = Atom("product", "data", copy.size, source=self.head.out.source)
        product = Product(out, self.head.query.mapped(matrix(asked)), Form.of(copy))
        return product, Form.of(out).mapped(matrix(total))


def copied(programs: Programs, depth: Callable[[Programs], int]) -> Programs:
    """The programs with copies wherever they make a forward pass shallower.

    Args:
        programs: The three programs.
        depth: How many layers they take.
    """
    readings = _readings(programs)
    ways = list(dict.fromkeys(reading.way for reading in readings.values()))
    if not ways:
        return programs
    chosen = set(ways)

    def made(kept: set[Hashable]) -> Programs:
        return _with_copies(programs, [r for r in readings.values() if r.way in kept])

    best = made(chosen)
    least = depth(best)
    for way in reversed(ways):
        fewer = made(chosen - {way})
        if (layers := depth(fewer)) <= least:
            chosen, least, best = chosen - {way}, layers, fewer
    return best


def _readings(programs: Programs) -> dict[Atom, _Reading]:
    """The heads whose matrix is small and can be copied, by their results."""
    found = {}
    for program in (programs.step, programs.read_out):
        for operation in program.operations:
            reading = _reading(operation, programs)
            if reading is not None and _sources(reading.state, reading.height, programs):
                found[operation.out] = reading
    return found


def _reading(operation: Operation, programs: Programs) -> _Reading | None:
    """What a head reads of a matrix, if it reads one and nothing else but names."""
    if not isinstance(operation, Head) or operation.kernel.name != "linear" or operation.mean:
        return None
    if operation.query.tokens != "data":
        return None
    for by_key, form, other in (
        (True, operation.key, operation.value),
        (False, operation.value, operation.key),
    ):
        names = names_of(other, programs)
        if names is not None and len(form.terms) == 1:
            ((state, rows),) = form.terms.items()
            if state in programs.step.writes and state.tokens == "register":
                return _Reading(operation, state, rows, names, by_key)
    return None


def _sources(state: Atom, height: int, programs: Programs) -> list[Atom]:
    """The matrix and those that it is updated by, if tokens can follow all of them; else none."""
    outer, found, waiting = outer_heads(programs), [], [state]
    while waiting:
        atom = waiting.pop()
        if atom in found:
            continue
        found.append(atom)
        begins = programs.init.writes.get(atom)
        small = height * atom.size <= _MOST_ENTRIES and min(height, atom.size) <= _MOST_HEADS
        if begins is None or names_of(begins, programs) is None or not small:
            return []
        for source in programs.step.writes[atom].terms:
            if source in programs.step.writes and source.tokens == "register":
                waiting.append(source)
            elif source not in outer and source is not programs.state.flags.name:
                return []
    return found


def _with_copies(programs: Programs, readings: Iterable[_Reading]) -> Programs:
    """The programs with these readings made by neurons."""
    readings = list(readings)
    if not readings:
        return programs
    heights: dict[Atom, int] = {}
    for reading in readings:
        for atom in _sources(reading.state, reading.height, programs):
            heights[atom] = max(reading.height, heights.get(atom, 0))
    copies = {
        atom: Atom(f"{atom.name}, copied", "data", height * atom.size, source=atom.source)
        for atom, height in heights.items()
    }
    heads, writes, begins = [], {}, dict(programs.init.writes)
    for atom, copy in copies.items():
        begins[copy] = _constant(programs.init.writes[atom], heights[atom], programs)
        writes[copy], more = _followed(atom, copies, heights[atom], programs)
        heads += more
    replaced = {r.head.out: r.by_neurons(copies[r.state]) for r in readings}
    products = {out: product for out, (product, _) in replaced.items()}
    instead = {out: total for out, (_, total) in replaced.items()}
    writes = {copy: form.substituted(instead) for copy, form in writes.items()}
    step = rewritten(_multiplied(programs.step, products), instead, heads, writes, set())
    read_out = rewritten(_multiplied(programs.read_out, products), instead, [], {}, set())
    state = replace(programs.state, local=(*programs.state.local, *copies.values()))
    init = replace(programs.init, writes=begins)
    made = replace(programs, init=init, step=step, read_out=read_out, state=state)
    return _without(_unread(made, set(copies)), made)


def _unread(programs: Programs, matrices: set[Atom]) -> set[Atom]:
    """Those of the matrices on the registers that nothing reads but their own updates."""
    unread = set(matrices)
    while True:
        kept = _without(unread, programs)
        forms = [
            *kept.step.writes.values(),
            *([kept.read_out.output] if kept.read_out.output else []),
        ]
        forms += [
            form for o in (*kept.step.operations, *kept.read_out.operations) for form in o.reads
        ]
        read = {atom for form in forms for atom in form.terms}
        if not unread & read:
            return unread
        unread -= read


def _without(matrices: set[Atom], programs: Programs) -> Programs:
    """The programs without some of their state."""

    def lasting(program: Program) -> Program:
        kept = {state: form for state, form in program.writes.items() if state not in matrices}
        return replace(program, writes=kept).needed()

    shared = tuple(
        s for s in programs.state.shared if isinstance(s, np.ndarray) or s not in matrices
    )
    return replace(programs.each(lasting), state=replace(programs.state, shared=shared))


def _constant(form: Form, height: int, programs: Programs) -> Form:
    """A constant matrix, a row a register, as the same numbers in every token."""
    names = names_of(form, programs)
    assert names is not None
    return programs.state.flags.constant("data", names.toarray().T[:height].ravel())


def _followed(
    atom: Atom, copies: Mapping[Atom, Atom], height: int, programs: Programs
) -> tuple[Form, list[Head]]:
    """The new value of a copy, and the heads that it takes."""
    total, heads, name = Form.zero("data", height * atom.size), [], programs.state.flags.name
    outer = outer_heads(programs)
    for source, weights in programs.step.writes[atom].terms.items():
        if source is name:
            change = Form("register", atom.size, {name: weights})
            total = total + _constant(change, height, programs)
            continue
        if source in copies:
            same = Form.of(copies[source])
        else:
            same, more = _spread(outer[source], height, programs)
            heads += more
        total = total + same.mapped(matrix(sp.kron(eye(height), weights)))
    return total, heads


def _spread(head: Head, height: int, programs: Programs) -> tuple[Form, list[Head]]:
    """A mean of outer products in every token, row by row or column by column."""
    names = names_of(head.query, programs)
    assert names is not None
    rows = head.key.mapped(matrix(names[:, :height].T))
    columns, b = head.value, head.value.size
    by_row = height <= b
    few, many = (rows, columns) if by_row else (columns, rows)
    one = programs.state.flags.constant("data", [1.0])
    total, heads = Form.zero("data", height * b), []
    for k in range(few.size):
        key = few.mapped(selection(np.array([k]), few.size))
        if not key.terms:
            continue
        out = Atom(head.out.name, "data", many.size, source=head.out.source)
        heads.append(replace(head, out=out, query=one, key=key, value=many))
        places = k * b + np.arange(b) if by_row else np.arange(height) * b + k
        put = matrix((np.ones(many.size), (places, np.arange(many.size))), (total.size, many.size))
        total = total + Form.of(out).mapped(put)
    return total, heads


def _multiplied(program: Program, products: Mapping[Atom, Product]) -> Program:
    """A program with products in the place of some heads."""
    return replace(program, operations=tuple(products.get(o.out, o) for o in program.operations))
