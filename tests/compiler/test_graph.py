"""Two operations that would compute the same thing are one operation."""

import numpy as np
import pytest

from innerloop.compiler.forms import Atom, Form, matrix
from innerloop.compiler.functions import Function, Piecewise
from innerloop.compiler.graph import Flags, Graph, is_large
from innerloop.kernels import Kernel

RELU = Function.exact(Piecewise((0.0,), (0.0, 1.0), (0.0, 0.0), (0.0,)), "relu")


@pytest.fixture
def graph():
    return Graph(Flags(3))


@pytest.fixture
def forms():
    return [Form.of(Atom(name, "data", 5)) for name in "uvw"]


def test_the_same_head_is_made_once(graph, forms):
    u, v, w = forms
    first = graph.head(u, v, w, label="one", source="here")
    assert graph.head(u, v, w, label="two", source="there") is first
    others = [
        graph.head(v, u, w, label="", source=""),
        graph.head(u, v, w, label="", source="", mean=True),
        graph.head(u, v, w, label="", source="", kernel=Kernel("relu")),
        graph.head(u, v, w.scaled(2.0), label="", source=""),
    ]
    assert len({first, *others}) == 5 == len(graph.operations)
    assert first.tokens == "data" and first.size == 5 and first.name == "one"


def test_the_same_function_is_made_once(graph, forms):
    u, v, _ = forms
    first = graph.apply(u, RELU, source="", replicated=False)
    again = Function.exact(Piecewise((0.0,), (0.0, 1.0), (0.0, 0.0), (0.0,)))
    assert graph.apply(u, again, source="", replicated=False) is first
    assert graph.apply(v, RELU, source="", replicated=False) is not first


def test_factors_have_no_order(graph, forms):
    u, v, w = forms
    first = graph.product(u, v, source="")
    assert graph.product(v, u, source="") is first
    assert graph.product(u, w, source="") is not first


def test_gates_differ_by_their_knots(graph, forms):
    u, v, _ = forms
    first = graph.gate(u, 0.0, v, source="")
    assert graph.gate(u, 0.0, v, source="") is first
    assert graph.gate(u, 1.0, v, source="") is not first
    assert graph.gate(v, 0.0, u, source="") is not first


def test_constants_are_read_from_the_flags():
    flags = Flags(3)
    data, register = (flags.constant(tokens, [2.0, 0.0, 5.0]) for tokens in ("data", "register"))
    assert set(data.terms) == {flags.one} and set(register.terms) == {flags.name}
    np.testing.assert_array_equal(data.terms[flags.one].toarray()[:, 0], [2.0, 0.0, 5.0])
    for row in range(3):
        np.testing.assert_array_equal(register.terms[flags.name] @ np.eye(3)[row], [2.0, 0.0, 5.0])
    assert flags.constant("data", [0.0]).terms == {}


def test_the_constant_part_of_a_form_is_what_the_flags_give():
    flags, atom = Flags(3), Atom("u", "data", 2)
    form = Form.of(atom) + flags.constant("data", [1.0, 2.0])
    assert set(flags.constant_part(form).terms) == {flags.one}
    assert flags.constant_part(Form.of(atom)).terms == {}


def test_row_names_tell_registers_apart():
    flags = Flags(3)
    names = flags.row_names(2).terms[flags.name]
    np.testing.assert_array_equal(names.toarray(), matrix([[1, 0, 0], [0, 1, 0]]).toarray())


@pytest.mark.parametrize(
    ("evaluate", "large"),
    [(np.tanh, False), (lambda x: 10.0 * x, False), (lambda x: 1.0 / (np.sqrt(x) + 1e-8), True)],
)
def test_large_functions_make_large_numbers_of_small_ones(evaluate, large):
    assert is_large(Function(evaluate, None)) is large
