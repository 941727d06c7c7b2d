r"""What a step begins with, computed at the end of the step before.

A function of the state alone, of a clock, or of this token's own data needs no attention. At the
beginning of a step it holds up everything that reads it; at the end of the step before it is ready
in the half-layer after the update, or sooner: what follows a clock is known all the time.

    step:  s -> f(s) -> ...  -> s'        becomes        (s, f) -> ... -> s' -> f(s')

and `f` of the first state is computed once, before the first step. Bits that say whether a gate is
open, products, and functions are moved; splines are not, for they know the domain of one place.
Half-layers are counted from zero: attention has the even ones, neurons the odd ones.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace

from innerloop.compiler.forms import Atom, Form, content
from innerloop.compiler.graph import Head
from innerloop.compiler.neurons import LayerOperation, Neurons, rereading
from innerloop.compiler.planning import Block, Blocks, longest_chain
from innerloop.compiler.programs import Programs

Groups = dict[Atom, list[Neurons]]
"""Neurons by the atom that they write."""


def ahead(blocks: Blocks, programs: Programs, steps: int) -> Blocks:
    """The blocks with as much computed ahead as makes them shallower, and no more.

    Args:
        blocks: The three blocks.
        programs: What they compute.
        steps: How many steps a forward pass takes.
    """
    state, flags = programs.state, programs.state.flags
    known = {*state.atoms, *programs.clocks, state.x, state.y, flags.one, flags.name}
    movable = _movable(blocks.step, known) if steps else {}
    if not movable:
        return blocks
    every = _moved(blocks, set(movable))
    least = every.depth(steps)
    if least >= blocks.depth(steps):
        return blocks
    fewer = _moved(blocks, _needed(movable, blocks.step, every.step))
    return fewer if fewer.depth(steps) <= least else every


def _needed(movable: Groups, step: Block, shallow: Block) -> set[Atom]:
    """What would be too late for its readers if the step itself began with it."""
    end = 2 * longest_chain(shallow) - 1
    needed: set[Atom] = set()
    while True:
        latest, ready = _latest(step, needed, end), dict.fromkeys(needed, -1)
        late = set()
        for out, group in movable.items():
            if out not in needed:
                time = 1 + max((ready.get(atom, -1) for atom in _atoms(group)), default=-1)
                ready[out] = time | 1
                late |= {out} if ready[out] > latest.get(out, end) else set()
        if not late:
            return needed
        for out in reversed(tuple(movable)):
            if out in late | needed:
                needed |= {out} | (_atoms(movable[out]) & set(movable))


def _latest(step: Block, moved: set[Atom], end: int) -> dict[Atom, int]:
    """The last half-layer after which a result is in time, for a step that ends with `end`."""
    latest: dict[Atom, int] = {}
    for operation in reversed(step.operations):
        if operation.out in moved:
            continue
        time = latest.get(operation.out, end)
        time -= (time % 2 == 0) != isinstance(operation, Head)
        for atom in _atoms([operation]):
            latest[atom] = min(time - 1, latest.get(atom, end))
    return latest


def _movable(step: Block, known: set[Atom]) -> Groups:
    """What neurons make of the state alone, directly or through each other."""
    groups: Groups = {}
    heads = set()
    for operation in step.operations:
        if isinstance(operation, Neurons):
            groups.setdefault(operation.out, []).append(operation)
        else:
            heads.add(operation.out)
    found: Groups = {}
    for out, group in groups.items():
        bounded = any(ramp.outside for neurons in group for ramp in neurons.ramps)
        if out not in heads and not bounded and _atoms(group) <= known | set(found):
            found[out] = group
    return found


def _atoms(operations: Iterable[LayerOperation]) -> set[Atom]:
    return {a for o in operations for form in o.reads for a in form.terms}


def _moved(blocks: Blocks, chosen: set[Atom]) -> Blocks:
    """The blocks with these atoms kept from step to step."""
    groups: Groups = {}
    for operation in blocks.step.operations:
        if operation.out in chosen and isinstance(operation, Neurons):
            groups.setdefault(operation.out, []).append(operation)
    kept = {out: _another(out, out.name) for out in groups}
    instead = {out: Form.of(atom) for out, atom in kept.items()}
    step, read_out = (_reading(b, groups, instead) for b in (blocks.step, blocks.read_out))
    before = {a: Form.zero(a.tokens, a.size) for a in step.writes} | blocks.init.writes
    init = _extended(blocks.init, groups, kept, before)
    step = _extended(step, groups, kept, step.writes)
    return Blocks(init, step, read_out, (*blocks.kept, *kept.values()))


def _another(atom: Atom, name: str) -> Atom:
    """Another atom of the same kind."""
    return Atom(name, atom.tokens, atom.size, atom.replicated, atom.source, atom.large)


def _reading(block: Block, groups: Groups, instead: Mapping[Atom, Form]) -> Block:
    """A block that reads what is kept in place of computing it."""
    identities = {_identity(group, instead): out for out, group in groups.items()}
    own: Groups = {}
    for operation in block.operations:
        if isinstance(operation, Neurons):
            own.setdefault(operation.out, []).append(operation)
    read = dict(instead)
    for out, group in own.items():
        same = identities.get(_identity(group, read))
        if same is not None:
            read[out] = instead[same]
    operations = tuple(
        rereading(o, lambda form: form.substituted(read))
        for o in block.operations
        if o.out not in read
    )
    writes = {state: form.substituted(read) for state, form in block.writes.items()}
    output = None if block.output is None else block.output.substituted(read)
    return Block(block.name, operations, writes, output)


def _identity(group: list[Neurons], read: Mapping[Atom, Form]) -> Hashable:
    """Equal for neurons that compute the same thing."""

    def key(form: Form | None) -> Hashable:
        return None if form is None else form.substituted(read).key

    return tuple((key(n.gate), key(n.value), content(n.weights)) for n in group)


def _extended(
    block: Block, groups: Groups, kept: Mapping[Atom, Atom], state: Mapping[Atom, Form]
) -> Block:
    """A block that computes what is kept from the state that it leaves."""
    values, operations, writes = dict(state), list(block.operations), dict(block.writes)
    for out, group in groups.items():
        done = _another(out, f"{out.name}, ahead")
        operations += [
            rereading(replace(n, out=done, stored=None), lambda form: form.substituted(values))
            for n in group
        ]
        values[out] = Form.of(done)
        writes[kept[out]] = Form.of(done)
    return Block(block.name, tuple(operations), writes, block.output)
