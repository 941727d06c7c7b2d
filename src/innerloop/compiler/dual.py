r"""The dual form: where all that is read of a matrix is `W h` with an `h` that never changes.

    W' = a W + mean_j g_j h_j^T     read as  z = W h     is     z' = a z + mean_j <h_j, h> g_j

so each token carries its own `z`, one head updates it, and the matrix is not stored at all. A model
that is linear in its parameters takes one layer a step, as von Oswald et al. construct it. A smooth
function of `z` is computed where `z` is updated, for the next step (others are, too, by `ahead`,
when neurons are known): an `N`-layer network takes `2 N - 1` layers a step, and one more before the
first; one layer fewer a step where `copies` apply.

In general a reading is linear in the rows `W_i`, by the key or by the value of a head:

    W_i += M mean_j <K e_i, k_j> v_j  makes  z = sum_i <q, A W_i> B e_i  grow by
    mean_j <q, A M v_j> B K^T k_j,    and    z = sum_i <q, B e_i> A W_i  by
    mean_j <q, B K^T k_j> A M v_j

Axes: `R` registers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from innerloop.compiler.forms import Atom, Form, Matrix, content, dims, matrix
from innerloop.compiler.graph import Apply, Gate, Head, Operation, Product, Program
from innerloop.compiler.programs import Programs


@dataclass(frozen=True, eq=False)
class _Reading:
    """A head that reads one matrix of the state, linearly, with all else constant.

    Args:
        state: The matrix.
        query: What is asked, the same in every step.
        rows: `A`, what is read of a row.
        names: `B`, what stands for a row.
        by_key: Whether the matrix is read by the head's key, or by its value.
    """

    state: Atom
    query: Form
    rows: Matrix
    names: Matrix
    by_key: bool

    @property
    def size(self) -> int:
        """Of the result."""
        return dims(self.names if self.by_key else self.rows)[0]

    @property
    def functional(self) -> tuple:
        """Equal for readings that differ in the matrix only."""
        return self.query.key, content(self.rows), content(self.names), self.by_key

    def of_constant(self, rows: Matrix) -> Form:
        """The reading of a constant matrix whose row `i` is column `i` of `rows`."""
        read = self.rows @ rows
        weights = self.names @ read.T if self.by_key else read @ self.names.T
        return self.query.mapped(matrix(weights))

    def of_mean(self, head: Head, names: Matrix, change: Matrix, out: Atom) -> Head:
        """The reading of `change` times a mean of outer products."""
        left = head.key.mapped(matrix(self.names @ names.T))
        right = head.value.mapped(matrix(self.rows @ change))
        key, value = (right, left) if self.by_key else (left, right)
        return replace(head, out=out, query=self.query, key=key, value=value, computes=out.name)


def dual(programs: Programs) -> Programs:
    """The programs with each matrix that allows it in its dual form; others stay as they are."""
    every = _readings(programs)
    chosen = _chosen(programs, every)
    readings = {out: reading for out, reading in every.items() if reading.state in chosen}
    if not readings:
        return programs
    carried = _carried(readings.values(), programs)
    instead = {
        out: Form.of(carried[reading.state, reading.functional][0])
        for out, reading in readings.items()
    }
    outer = outer_heads(programs)
    heads, writes, begins = [], {}, dict(programs.init.writes)
    for (state, _), (atom, reading) in carried.items():
        rows = names_of(programs.init.writes[state], programs)
        assert rows is not None
        begins[atom] = reading.of_constant(rows)
        total = Form.zero("data", atom.size)
        for source, weights in programs.step.writes[state].terms.items():
            if source in chosen:
                other, _ = carried[source, reading.functional]
                total = total + Form.of(other).scaled(_scale(weights) or 0.0)
                continue
            head = outer[source]
            names = names_of(head.query, programs)
            assert names is not None
            moved = Atom(f"{atom.name}, moved", "data", atom.size, source=source.source)
            heads.append(reading.of_mean(head, names, weights, moved))
            total = total + Form.of(moved)
        writes[atom] = total
    step = rewritten(programs.step, instead, heads, writes, chosen)
    read_out = rewritten(programs.read_out, instead, [], {}, chosen)
    state = replace(
        programs.state,
        shared=tuple(
            s for s in programs.state.shared if isinstance(s, np.ndarray) or s not in chosen
        ),
        local=(*programs.state.local, *(atom for atom, _ in carried.values())),
    )
    init = replace(programs.init, writes={a: f for a, f in begins.items() if a not in chosen})
    made = replace(programs, init=init, step=step, read_out=read_out, state=state)
    return _ahead(made, {atom for atom, _ in carried.values()})


def _ahead(programs: Programs, carried: set[Atom]) -> Programs:
    """Smooth functions of what tokens carry, computed by the step before that reads them."""
    state, step, read_out = programs.state, programs.step, programs.read_out
    known = {*carried, state.x, state.y, state.flags.one}
    begins, local = dict(programs.init.writes), []
    first, later, writes, instead = [], [], dict(step.writes), {}
    for operation in step.operations:
        if not isinstance(operation, Apply) or operation.function.pieces is not None:
            continue
        if not set(operation.base.terms) <= known:
            continue
        out, label = operation.out, operation.out.name
        kept = Atom(label, "data", out.size, source=out.source)
        local.append(kept)
        for where, values, target in ((first, begins, begins), (later, step.writes, writes)):
            done = Atom(f"{label}, ahead", "data", out.size, source=out.source)
            base = operation.base.substituted({a: values[a] for a in carried})
            where.append(replace(operation, out=done, base=base))
            target[kept] = Form.of(done)
        same = operation.base.key, operation.function.key
        for program in (step, read_out):
            for other in program.operations:
                if isinstance(other, Apply) and (other.base.key, other.function.key) == same:
                    instead[other.out] = Form.of(kept)
    if not local:
        return programs
    init = replace(programs.init, operations=tuple(first), writes=begins)
    step = replace(step, operations=(*step.operations, *later), writes=writes)
    return replace(
        programs,
        init=init,
        step=rewritten(step, instead, [], {}, set()),
        read_out=rewritten(read_out, instead, [], {}, set()),
        state=replace(state, local=(*state.local, *local)),
    )


def _readings(programs: Programs) -> dict[Atom, _Reading]:
    """The heads that read a matrix and have a dual form, by their results."""
    found = {}
    for program in (programs.step, programs.read_out):
        for operation in program.operations:
            reading = _reading(operation, programs)
            if reading is not None:
                found[operation.out] = reading
    return found


def _chosen(programs: Programs, readings: Mapping[Atom, _Reading]) -> set[Atom]:
    """The largest set of matrices whose readings and updates all have a dual form."""
    if programs.init.operations:
        return set()
    outer = outer_heads(programs)
    chosen = {
        atom
        for atom in programs.state.shared
        if isinstance(atom, Atom)
        and atom in programs.step.writes
        and names_of(programs.init.writes[atom], programs) is not None
    }
    for program in (programs.step, programs.read_out):
        for operation in program.operations:
            if operation.out not in readings:
                chosen -= {a for form in operation.reads for a in form.terms}
        chosen -= set(program.output.terms) if program.output else set()
    while True:
        kept = {
            atom
            for atom in chosen
            if all(
                source in outer or (source in chosen and _scale(weights) is not None)
                for source, weights in programs.step.writes[atom].terms.items()
            )
            and not any(
                atom in form.terms
                for other, form in programs.step.writes.items()
                if other not in chosen
            )
        }
        if kept == chosen:
            return chosen
        chosen = kept


def _reading(operation: Operation, programs: Programs) -> _Reading | None:
    """What a head reads of a matrix, if it reads one and all else is constant."""
    if not isinstance(operation, Head) or operation.kernel.name != "linear" or operation.mean:
        return None
    state, still = programs.state, {programs.state.x, programs.state.y, programs.state.flags.one}
    if operation.query.tokens != "data" or not set(operation.query.terms) <= still:
        return None
    for by_key, matrix_form, other in (
        (True, operation.key, operation.value),
        (False, operation.value, operation.key),
    ):
        names = names_of(other, programs)
        if names is not None and len(matrix_form.terms) == 1:
            ((atom, rows),) = matrix_form.terms.items()
            if atom in state.atoms and atom.tokens == "register":
                return _Reading(atom, operation.query, rows, names, by_key)
    return None


def names_of(form: Form, programs: Programs) -> Matrix | None:
    """The matrix of a form that reads the registers' names only."""
    name = programs.state.flags.name
    if form.tokens != "register" or set(form.terms) - {name}:
        return None
    return form.terms.get(name, matrix((form.size, name.size)))


def outer_heads(programs: Programs) -> dict[Atom, Head]:
    """Sums and means over the context of outer products, by their results."""
    return {
        o.out: o
        for o in programs.step.operations
        if isinstance(o, Head)
        and o.kernel.name == "linear"
        and o.key.tokens == "data"
        and names_of(o.query, programs) is not None
    }


def _scale(weights: Matrix) -> float | None:
    """The factor of a multiple of the identity."""
    rows, columns = dims(weights)
    diagonal = weights.diagonal()
    if rows != columns or weights.nnz > rows or np.ptp(diagonal) or not diagonal.any():
        return None
    return float(diagonal[0])


def _carried(
    readings: Iterable[_Reading], programs: Programs
) -> dict[tuple[Atom, tuple], tuple[Atom, _Reading]]:
    """An atom for each reading of each matrix, and of each that it is updated by."""
    found: dict[tuple[Atom, tuple], tuple[Atom, _Reading]] = {}
    waiting = list(readings)
    while waiting:
        reading = waiting.pop()
        if (reading.state, reading.functional) in found:
            continue
        state = reading.state
        atom = Atom(f"{state.name} read", "data", reading.size, source=state.source)
        found[state, reading.functional] = atom, reading
        for source in programs.step.writes[state].terms:
            if source in programs.state.atoms and source.tokens == "register":
                waiting.append(replace(reading, state=source))
    return found


def rewritten(
    program: Program,
    instead: Mapping[Atom, Form],
    heads: list[Head],
    writes: dict[Atom, Form],
    chosen: set[Atom],
) -> Program:
    """A program that reads what tokens carry; what nothing reads any more is left out."""
    operations = [
        substituted(operation, instead)
        for operation in (*program.operations, *heads)
        if operation.out not in instead
    ]
    kept = {a: f.substituted(instead) for a, f in program.writes.items() if a not in chosen}
    output = None if program.output is None else program.output.substituted(instead)
    return Program(program.block, tuple(operations), {**kept, **writes}, output).needed()


def substituted(operation: Operation, instead: Mapping[Atom, Form]) -> Operation:
    """An operation that reads other forms in place of some atoms."""
    match operation:
        case Head():
            query, key, value = (form.substituted(instead) for form in operation.reads)
            return replace(operation, query=query, key=key, value=value)
        case Apply():
            return replace(operation, base=operation.base.substituted(instead))
        case Product():
            left, right = (form.substituted(instead) for form in operation.reads)
            return replace(operation, left=left, right=right)
        case Gate():
            base, value = (form.substituted(instead) for form in operation.reads)
            return replace(operation, base=base, value=value)
