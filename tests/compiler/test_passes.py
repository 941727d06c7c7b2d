"""What each pass must leave true, over every network and several rules.

Wiring, scheduling and allocation may move work around; they may not change what it computes.
"""

from functools import cache

import numpy as np
import pytest

from innerloop.compiler.assemble import assemble
from innerloop.compiler.graph import Head
from innerloop.compiler.neurons import Neurons
from innerloop.models import Transformer
from tests.compiler.cases import NETWORKS, trained
from tests.compiler.passes import passes_of, random_start

RULES = ("momentum", "schedule", "sign")
BLOCKS = [(network, RULES[k % 3], block) for k, network in enumerate(NETWORKS) for block in (0, 1)]
every_block = pytest.mark.parametrize(("network", "rule", "block"), BLOCKS)


@cache
def made(network, rule):
    learner, prompt, _, _ = trained(network, rule, 2, 7)
    return passes_of(learner, prompt)


def atoms_of(forms):
    return {atom for form in forms for atom in form.terms}


def lasting_of(programs):
    state = programs.state
    flags = state.flags
    return {flags.one, flags.name, state.x, state.y, *state.atoms, *programs.clocks}


@every_block
def test_no_operation_runs_before_its_inputs(network, rule, block):
    programs, blocks = made(network, rule)
    plan, lasting = blocks[block].schedule, lasting_of(programs)
    first, last = {}, {}
    for time, row in enumerate(plan.times):
        for item in row:
            for atom, _ in item.targets:
                first.setdefault(atom, time)
                last[atom] = time
    for time, row in enumerate(plan.times):
        for item in row:
            for atom in atoms_of(item.reads) - lasting:
                assert last[atom] < time, f"{atom.name} is read before it is complete"
    assert all(atom in last or atom in lasting for atom in atoms_of([plan.output] if block else []))


@every_block
def test_heads_and_neurons_have_their_own_half_layers(network, rule, block):
    _, blocks = made(network, rule)
    times = blocks[block].schedule.times
    assert len(times) == 2 * blocks[block].schedule.depth
    for time, row in enumerate(times):
        kind = (Head, Neurons)[time % 2]
        assert all(isinstance(item.operation, kind) for item in row)


@every_block
def test_state_is_overwritten_after_its_last_reader(network, rule, block):
    programs, blocks = made(network, rule)
    plan = blocks[block].schedule
    stored = {*programs.state.atoms, *programs.clocks}
    written, read = {}, {}
    for time, row in enumerate(plan.times):
        for item in row:
            for atom in {atom for atom, _ in item.targets} & stored:
                written.setdefault(atom, set()).add(time)
            if item.update is None:
                for atom in atoms_of(item.reads) & stored:
                    read[atom] = max(time, read.get(atom, -1))
    for atom, times in written.items():
        assert len(times) == 1, f"{atom.name} is seen half updated"
        assert min(times) >= read.get(atom, -1)
    assert set(written) <= set(blocks[block].program.writes)
    assert block or {programs.state.atoms[0]} <= set(written)


@every_block
def test_two_live_vectors_never_share_a_coordinate(network, rule, block):
    _, blocks = made(network, rule)
    spaces = blocks[block].allocation.subspaces
    for i, one in enumerate(spaces):
        for two in spaces[:i]:
            apart = max(one.born, two.born) >= min(one.dies, two.dies)
            assert apart or not set(one.coordinates) & set(two.coordinates), (one.name, two.name)


@every_block
def test_the_width_is_the_largest_number_of_live_coordinates(network, rule, block):
    """Liveness from the schedule itself: an atom lives from its first write to its last read.

    What attention reads last lives on for half a layer: only neurons can wipe it.
    """
    programs, blocks = made(network, rule)
    passes, lasting = blocks[block], lasting_of(programs)
    times = passes.schedule.times
    born, needed = {}, {}
    for time, row in enumerate(times):
        for item in row:
            for atom in {atom for atom, _ in item.targets} - lasting:
                born.setdefault(atom, time)
            for atom in atoms_of(item.reads) - lasting:
                needed[atom] = time | 1
    if passes.schedule.output is not None:
        needed |= {atom: len(times) for atom in atoms_of([passes.schedule.output]) - lasting}
    most = max(
        (
            sum(a.size for a in born if born[a] < time <= needed[a])
            for time in range(len(times) + 1)
        ),
        default=0,
    )
    fixed = sum(atom.size for atom in lasting)
    assert fixed + most <= passes.allocation.width <= 1.25 * (fixed + most)


@every_block
def test_what_is_wired_is_what_was_written(network, rule, block, rng):
    """The schedule, run on named vectors, gives the state and the output that the program says."""
    programs, blocks = made(network, rule)
    passes = blocks[block]
    direct, planned = (random_start(programs, np.random.default_rng(5)) for _ in range(2))
    for operation in passes.program.operations:
        direct.values[operation.out] = meaning(direct, operation)
    planned.run(passes.schedule)
    for atom, form in passes.program.writes.items():
        expected = direct.read(form) * (direct.kinds == atom.tokens)[:, None]
        np.testing.assert_allclose(planned.values[atom], expected, atol=1e-9)
    if passes.program.output is not None:
        found = planned.read(passes.schedule.output or passes.program.output)
        data = planned.kinds == "data"
        np.testing.assert_allclose(found[data], direct.read(passes.program.output)[data], atol=1e-9)


def meaning(interpreter, operation):
    """What an operation of the graph computes, straight from its definition."""
    mine = (interpreter.kinds == operation.out.tokens)[:, None]
    match operation:
        case Head():
            return interpreter.result(operation) * mine
    read = [interpreter.read(form) for form in operation.reads]
    match type(operation).__name__:
        case "Apply":
            return operation.function.evaluate(read[0]) * mine
        case "Product":
            return read[0] * read[1] * mine
        case "Gate":
            return np.where(read[0] > operation.knot, read[1], 0.0) * mine
    raise AssertionError(operation)


@pytest.mark.parametrize("network", NETWORKS)
def test_dense_weights_do_what_the_schedule_says(network, rng):
    """The dense transformer against the interpreter, at the coordinates of what lasts."""
    rule = RULES[list(NETWORKS).index(network) % 3]
    programs, blocks = made(network, rule)
    allocation = blocks[0].allocation
    bank = assemble([allocation], allocation.width, dtype="float64", mlp="reglu").blocks
    start = random_start(programs, rng)
    stream = np.zeros((len(start.kinds), allocation.width))
    for atom, values in start.values.items():
        stream[:, allocation.coordinates[atom]] = values
    roles = np.where(start.kinds == "register", 2, np.where(start.is_query, 1, 0))
    dense = Transformer(bank, tuple(range(allocation.schedule.depth)))
    after = np.asarray(dense(stream, roles, start.n))
    start.run(allocation.schedule)
    elsewhere = np.ones(allocation.width, bool)
    for atom in lasting_of(programs):
        places = allocation.coordinates[atom]
        elsewhere[places] = False
        np.testing.assert_allclose(after[:, places], start.values[atom], atol=1e-9)
    np.testing.assert_allclose(after[:, elsewhere], 0.0, atol=1e-9)


def test_no_fault_of_the_allocation_stays_hidden(rng):
    """The deliberate fault: one coordinate of a vector taken by another that lives."""
    programs, blocks = made("mlp-3", "sign")
    allocation = blocks[0].allocation
    one, two = next(
        (a, b)
        for a in allocation.coordinates
        for b in allocation.coordinates
        if a.name == "x" and b.name.endswith("@ x")
    )
    broken = dict(allocation.coordinates)
    broken[two] = np.concatenate([allocation.coordinates[one][:1], broken[two][1:]])
    faulty = type(allocation)(allocation.schedule, broken, allocation.subspaces, allocation.width)
    start = random_start(programs, rng)
    roles = np.where(start.kinds == "register", 2, np.where(start.is_query, 1, 0))
    found = []
    for chosen in (allocation, faulty):
        stream = np.zeros((len(start.kinds), allocation.width))
        for atom, values in start.values.items():
            stream[:, allocation.coordinates[atom]] = values
        bank = assemble([chosen], allocation.width, dtype="float64", mlp="reglu").blocks
        dense = Transformer(bank, tuple(range(allocation.schedule.depth)))
        found.append(np.asarray(dense(stream, roles, start.n)))
    assert not np.abs(found[0] - found[1]).max() <= 1e-6
