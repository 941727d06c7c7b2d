r"""Who writes where: shared accumulators, and updates written straight into the state.

- Atoms that are always read together, with the same matrix, become one accumulator.
- A result that only the state's update reads is written into the state by whoever computes it.

Axes: `s` size of a form, `a` size of an atom.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from innerloop.compiler.forms import Atom, Form, Matrix, content, eye
from innerloop.compiler.graph import Flags, Head, needed
from innerloop.compiler.neurons import LayerOperation, Neurons, rereading

Target = tuple[Atom, Matrix]


@dataclass(frozen=True, eq=False)
class Wired:
    """An operation and what it adds to: `target += matrix @ result`.

    Args:
        operation: A head or a group of neurons.
        targets: Atoms, with the map from the operation's result.
        update: The number of the update it belongs to, or None.
    """

    operation: LayerOperation
    targets: tuple[Target, ...]
    update: int | None = None

    @property
    def is_head(self) -> bool:
        """Whether it runs in an attention half-layer."""
        return isinstance(self.operation, Head)

    @property
    def reads(self) -> tuple[Form, ...]:
        """The forms it reads."""
        return self.operation.reads


@dataclass(frozen=True, eq=False)
class Wiring:
    """Everything a block does, before it is scheduled.

    Args:
        operations: In an order in which each reads only what stands before it.
        updates: For each update, the state atoms that it writes, all in one half-layer.
        output: What is read at the end, or None.
    """

    operations: tuple[Wired, ...]
    updates: tuple[tuple[Atom, ...], ...]
    output: Form | None


def wire(
    operations: Sequence[LayerOperation],
    writes: dict[Atom, Form],
    output: Form | None,
    flags: Flags,
    *,
    update_by_attention: bool = True,
) -> Wiring:
    """Decides who writes where.

    Args:
        operations: Heads and neurons.
        writes: The new values of the state.
        output: What is read at the end, or None.
        flags: The flag atoms.
        update_by_attention: Whether heads may write into the state; otherwise neurons do it all.
    """
    changes = {
        state: form - Form.of(state)
        for state, form in writes.items()
        if (form - Form.of(state)).terms
    }
    results = [*changes.values(), *([output] if output else [])]
    live = needed(operations, results)
    live, changes, output = _accumulated(live, changes, output)
    wired, updates = _updated(live, changes, output, flags, update_by_attention)
    return Wiring(tuple(wired), updates, output)


def _accumulated(
    operations: list[LayerOperation], changes: dict[Atom, Form], output: Form | None
) -> tuple[list[LayerOperation], dict[Atom, Form], Form | None]:
    """One atom for results that are always added up by their readers."""
    uses: dict[Atom, list] = {operation.out: [] for operation in operations}
    readers = [form for operation in operations for form in operation.reads]
    readers += [*changes.values(), *([output] if output else [])]
    for place, form in enumerate(readers):
        for atom, weights in form.terms.items():
            if atom in uses:
                uses[atom].append((place, content(weights)))
    chosen: dict[tuple, Atom] = {}
    replaced: dict[Atom, Atom] = {}
    for operation in operations:
        atom = operation.out
        signature = (atom.tokens, atom.size, atom.replicated, atom.large, tuple(uses[atom]))
        first = chosen.setdefault(signature, atom)
        if first is not atom:
            replaced[atom] = first
    if not replaced:
        return operations, changes, output

    def change(form: Form) -> Form:
        kept = {a: w for a, w in form.terms.items() if a not in replaced}
        return Form(form.tokens, form.size, kept)

    merged = {*replaced, *replaced.values()}
    return (
        [_rewritten(op, change, replaced.get(op.out, op.out), merged) for op in operations],
        {state: change(form) for state, form in changes.items()},
        None if output is None else change(output),
    )


def _rewritten(
    operation: LayerOperation, change: Callable[[Form], Form], out: Atom, merged: set[Atom]
) -> LayerOperation:
    changed = replace(rereading(operation, change), out=out)
    if isinstance(operation, Head):
        return changed
    kept = None if _reads_any(operation.stored, merged) else operation.stored
    return replace(changed, stored=kept)


def _reads_any(neurons: Neurons | None, atoms: set[Atom]) -> bool:
    return neurons is not None and any(a in atoms for form in neurons.reads for a in form.terms)


def _updated(
    operations: list[LayerOperation],
    changes: dict[Atom, Form],
    output: Form | None,
    flags: Flags,
    heads_may_write: bool,
) -> tuple[list[Wired], tuple[tuple[Atom, ...], ...]]:
    """Results read by updates only are written straight into the state."""
    by_attention = _written_by_attention(operations, changes, output) if heads_may_write else set()
    direct = _direct(operations, changes, output, by_attention)
    groups = _groups(changes, direct)
    number = {state: k for k, group in enumerate(groups) for state in group}
    wired = []
    for operation in operations:
        if operation.out in direct:
            targets = tuple(
                (state, form.terms[operation.out])
                for state, form in changes.items()
                if operation.out in form.terms
            )
            wired.append(Wired(operation, targets, number[targets[0][0]]))
        else:
            wired.append(Wired(operation, ((operation.out, eye(operation.out.size)),)))
    for state, form in changes.items():
        kept = {a: w for a, w in form.terms.items() if a not in direct}
        rest = Form(form.tokens, form.size, kept)
        if rest.terms:
            wired.append(_linear_update(state, rest, state in by_attention, number[state], flags))
    return wired, tuple(groups)


def _linear_update(
    state: Atom, change: Form, by_attention: bool, update: int, flags: Flags
) -> Wired:
    """The part of an update that is linear in what is stored."""
    names = flags.row_names(flags.registers)
    operation: LayerOperation
    if by_attention:
        operation = Head(state, names, names, change, computes="update from state")
    else:
        operation = Neurons(state, None, change, eye(state.size), "update")
    return Wired(operation, ((state, eye(state.size)),), update)


def _written_by_attention(
    operations: list[LayerOperation], changes: dict[Atom, Form], output: Form | None
) -> set[Atom]:
    """State of registers whose change is heads and stored state only."""
    heads = {op.out for op in operations if isinstance(op, Head)}
    others = {op.out for op in operations if not isinstance(op, Head)}
    elsewhere = {a for op in operations for form in op.reads for a in form.terms}
    elsewhere |= set(output.terms) if output else set()
    chosen = {
        state
        for state, form in changes.items()
        if any(a in heads for a in form.terms)
        and not any(a in others or (a in heads and a in elsewhere) for a in form.terms)
        and (state.tokens == "register" or all(a in heads for a in form.terms))
    }
    while True:
        kept = {
            state
            for state in chosen
            if not any(
                a in heads and a in form.terms
                for a in changes[state].terms
                for other, form in changes.items()
                if other not in chosen
            )
        }
        if kept == chosen:
            return chosen
        chosen = kept


def _direct(
    operations: list[LayerOperation],
    changes: dict[Atom, Form],
    output: Form | None,
    by_attention: set[Atom],
) -> set[Atom]:
    """Atoms that need no place of their own."""
    elsewhere = {a for op in operations for form in op.reads for a in form.terms}
    elsewhere |= set(output.terms) if output else set()
    writers: dict[Atom, set[bool]] = {}
    for op in operations:
        writers.setdefault(op.out, set()).add(isinstance(op, Head))
    found = set()
    for atom, kinds in writers.items():
        readers = [state for state, form in changes.items() if atom in form.terms]
        if atom in elsewhere or len(kinds) != 1 or not readers:
            continue
        by_head = kinds == {True}
        if all((state in by_attention) == by_head for state in readers):
            found.add(atom)
    return found


def _groups(changes: dict[Atom, Form], direct: set[Atom]) -> list[tuple[Atom, ...]]:
    """State atoms that share a direct result change in one half-layer."""
    groups: list[set[Atom]] = []
    for state, form in changes.items():
        shared = {a for a in form.terms if a in direct}
        joined = [g for g in groups if any(shared & set(changes[s].terms) for s in g)]
        merged = {state}.union(*joined)
        groups = [g for g in groups if g not in joined] + [merged]
    order = list(changes)
    return [tuple(sorted(group, key=order.index)) for group in groups]
