"""Who writes where, in which half-layer, and what is merged: small cases by hand."""

import numpy as np
import pytest

from innerloop.compiler.forms import Atom, Form, eye
from innerloop.compiler.graph import Flags, Head
from innerloop.compiler.merge import merged
from innerloop.compiler.neurons import Neurons
from innerloop.compiler.schedule import Deadlock, schedule
from innerloop.compiler.wiring import Wired, wire
from innerloop.kernels import Kernel
from tests.compiler.passes import Interpreter

SIZE = 3
FLAGS = Flags(SIZE)
ROWS = FLAGS.row_names(SIZE)


def atom(name, tokens="data"):
    return Atom(name, tokens, SIZE)


def head(out, *reads, **settings):
    query, key, value = (Form.of(a) if isinstance(a, Atom) else a for a in reads)
    return Head(out, query, key, value, computes=out.name, **settings)


def relu(out, source):
    gate = Form.of(source) if isinstance(source, Atom) else source
    return Neurons(out, gate, None, eye(SIZE), out.name)


def targets(wiring):
    return {
        item.operation.computes: [a.name for a, _ in item.targets] for item in wiring.operations
    }


def half_layers(plan):
    return {item.operation.computes: time for time, row in enumerate(plan.times) for item in row}


X, A, B, C, D = (atom(name) for name in "xabcd")
P, Q, H, R = (atom(name, "register") for name in "pqhr")


def test_what_nothing_reads_is_dropped():
    wiring = wire([relu(A, X), relu(B, A), relu(C, A)], {}, Form.of(C), FLAGS)
    assert [item.operation.out.name for item in wiring.operations] == ["a", "c"]


def test_results_that_are_always_added_share_one_place():
    operations = [head(A, X, X, X), relu(B, X), relu(C, Form.of(A) + Form.of(B))]
    wiring = wire(operations, {}, Form.of(C), FLAGS)
    assert targets(wiring) == {"a": ["a"], "b": ["a"], "c": ["c"]}
    readers = wiring.operations[-1].operation.gate
    assert list(readers.terms) == [A]


@pytest.mark.parametrize(
    "reading",
    [Form.of(A) + Form.of(B).scaled(2.0), Form.of(A)],
    ids=["with another factor", "one of them alone"],
)
def test_results_that_are_read_apart_keep_their_places(reading):
    output = Form.of(C) + Form.of(A) + Form.of(B)
    wiring = wire([head(A, X, X, X), relu(B, X), relu(C, reading)], {}, output, FLAGS)
    assert targets(wiring)["a"] == ["a"] and targets(wiring)["b"] == ["b"]


def test_a_result_for_the_state_alone_is_written_into_the_state():
    wiring = wire([head(H, ROWS, X, X)], {P: Form.of(P) + Form.of(H).scaled(-0.5)}, None, FLAGS)
    (item,) = wiring.operations
    assert [(a, m.toarray()[0, 0]) for a, m in item.targets] == [(P, -0.5)]
    assert item.update == 0 and wiring.updates == ((P,),)


def test_a_result_that_is_read_elsewhere_too_keeps_its_place():
    operations = [head(H, ROWS, X, X), head(A, X, Form.of(H), ROWS)]
    wiring = wire(operations, {P: Form.of(P) + Form.of(H)}, Form.of(A), FLAGS)
    assert targets(wiring)["h"] == ["h"]
    assert targets(wiring)["update"] == ["p"]


def test_a_linear_change_of_stored_state_is_a_head_beside_heads():
    writes = {P: Form.of(P) + Form.of(H) + Form.of(Q)}
    by_heads = wire([head(H, ROWS, X, X)], writes, None, FLAGS)
    assert targets(by_heads) == {"h": ["p"], "update from state": ["p"]}
    by_neurons = wire([head(H, ROWS, X, X)], writes, None, FLAGS, update_by_attention=False)
    assert targets(by_neurons) == {"h": ["h"], "update": ["p"]}


def test_state_that_stays_costs_nothing():
    assert wire([], {P: Form.of(P)}, None, FLAGS).operations == ()


def test_depth_is_the_critical_path():
    operations = [relu(A, X), head(B, A, A, A), relu(C, B), relu(D, X)]
    plan = schedule(wire(operations, {}, Form.of(C) + Form.of(D), FLAGS))
    times = half_layers(plan)
    assert (times["a"], times["b"], times["c"]) == (1, 2, 3)
    assert plan.depth == 2


def test_work_without_hurry_waits_while_that_saves_room():
    """`d` is needed at the end only, and what it reads is there all along."""
    operations = [relu(A, X), head(B, A, A, A), relu(C, B), relu(D, X)]
    last = atom("last")
    operations.append(head(last, Form.of(C), Form.of(C), Form.of(D)))
    times = half_layers(schedule(wire(operations, {}, Form.of(last), FLAGS)))
    assert times["d"] == 3 and times["last"] == 4


def test_an_update_waits_for_the_readers_of_what_it_overwrites():
    operations = [
        head(H, ROWS, X, X),
        head(A, X, Form.of(P), ROWS),
        relu(B, A),
        head(C, B, Form.of(P), ROWS),
    ]
    wiring = wire(operations, {P: Form.of(P) + Form.of(H)}, Form.of(C), FLAGS)
    times = half_layers(schedule(wiring))
    assert times["c"] == 2 and times["h"] == 2


def swap():
    """`p` takes heads that read `q`, and `q` takes neurons that read `p`."""
    operations = [head(H, ROWS, Form.of(Q), Form.of(Q)), relu(R, P)]
    return operations, {P: Form.of(P) + Form.of(H), Q: Form.of(Q) + Form.of(R)}


def test_updates_that_wait_for_each_other_are_a_deadlock():
    operations, writes = swap()
    with pytest.raises(Deadlock):
        schedule(wire(operations, writes, None, FLAGS))


def test_neurons_alone_resolve_the_deadlock(rng):
    operations, writes = swap()
    plan = schedule(wire(operations, writes, None, FLAGS, update_by_attention=False))
    runner = interpreter(rng)
    before = {name: runner.values[name].copy() for name in (P, Q)}
    mask = (runner.kinds == "register")[:, None]
    expected = {
        P: before[P] + runner.result(operations[0]) * mask,
        Q: before[Q] + np.maximum(before[P], 0.0),
    }
    runner.run(plan)
    for name, values in expected.items():
        np.testing.assert_allclose(runner.values[name], values, atol=1e-12)


def interpreter(rng):
    kinds = np.array(["data"] * 5 + ["register"] * SIZE)
    is_query = np.isin(np.arange(8), [3, 4])
    values = {
        a: rng.normal(size=(8, SIZE)) * (kinds == a.tokens)[:, None] for a in (X, A, B, C, P, Q)
    }
    values[FLAGS.one] = (kinds == "data")[:, None].astype(float)
    values[FLAGS.name] = np.eye(8, SIZE, -5)
    return Interpreter(values, kinds, is_query)


def alone(operation, *targets):
    return Wired(operation, tuple((a, eye(SIZE)) for a in targets or [operation.out]))


@pytest.mark.parametrize(
    ("items", "count"),
    [
        ([alone(head(D, A, B, X)), alone(head(D, B, C, X))], 1),
        ([alone(head(D, A, B, X)), alone(head(C, A, B, A))], 1),
        ([alone(head(D, A, B, X)), alone(head(D, A, B, X, mean=True))], 2),
        ([alone(head(D, A, B, X)), alone(head(D, B, C, A))], 2),
        ([alone(head(D, A, B, X)), alone(head(C, B, C, X))], 2),
        (
            [
                alone(head(D, A, B, X, kernel=Kernel("relu"))),
                alone(head(D, B, C, X, kernel=Kernel("relu"))),
            ],
            2,
        ),
        ([alone(relu(D, A)), alone(relu(D, B))], 2),
    ],
    ids=[
        "one value: scores add up",
        "one score: values stack",
        "a mean and a sum",
        "different values",
        "different targets",
        "a kernel that is not linear",
        "neurons stay",
    ],
)
def test_heads_are_merged_where_that_changes_nothing(items, count, rng):
    apart, together = (interpreter(np.random.default_rng(3)) for _ in range(2))
    found = merged(items)
    assert len(found) == count
    linear = [item for item in items if getattr(item.operation, "kernel", None) != Kernel("relu")]
    apart.half_layer(linear)
    together.half_layer(merged(linear))
    for name in (C, D):
        if name in apart.values:
            np.testing.assert_allclose(together.values[name], apart.values[name], atol=1e-12)
