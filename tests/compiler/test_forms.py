"""Forms are linear maps: every operation on them is the operation on what they read."""

import numpy as np
import pytest

from innerloop.compiler.forms import Atom, Form, content, eye, eye_at, matrix, selection


@pytest.fixture
def atoms():
    return Atom("u", "data", 3), Atom("v", "data", 5)


def form_of(rng, atoms, size):
    return Form("data", size, {a: matrix(rng.normal(size=(size, a.size))) for a in atoms})


def read(form, values):
    """What a form reads."""
    return sum((w @ values[atom] for atom, w in form.terms.items()), np.zeros(form.size))


@pytest.fixture
def values(atoms, rng):
    return {atom: rng.normal(size=atom.size) for atom in atoms}


def test_operations_are_those_on_what_is_read(atoms, values, rng):
    one, two = (form_of(rng, atoms, 7) for _ in range(2))
    a, b = read(one, values), read(two, values)
    weights, factors = rng.normal(size=(2, 7)), rng.normal(size=7)
    for form, expected in (
        (one + two, a + b),
        (one - two, a - b),
        (one.scaled(-0.5), -0.5 * a),
        (one.scaled(factors), factors * a),
        (one.mapped(matrix(weights)), weights @ a),
        (Form.stack([one, two, one]), np.concatenate([a, b, a])),
        (Form.of(atoms[0]), values[atoms[0]]),
        (one.without(atoms[1]), a - one.terms[atoms[1]] @ values[atoms[1]]),
    ):
        np.testing.assert_allclose(read(form, values), expected, rtol=1e-13)


def test_substitution_reads_through(atoms, values, rng):
    inner = form_of(rng, atoms[:1], 5)
    outer = form_of(rng, atoms, 7)
    replaced = outer.substituted({atoms[1]: inner})
    expected = read(outer, {**values, atoms[1]: read(inner, values)})
    np.testing.assert_allclose(read(replaced, values), expected, rtol=1e-12)
    assert outer.substituted({}) is outer


def test_what_cancels_is_not_read(atoms, rng):
    one = form_of(rng, atoms, 7)
    assert (one - one).terms == {}
    assert set((one - one.without(atoms[1])).terms) == {atoms[1]}
    assert one.scaled(0.0).terms == {}


def test_forms_that_read_the_same_have_one_key(atoms, rng):
    one, two = (form_of(rng, atoms, 7) for _ in range(2))
    backwards = Form("data", 7, dict(reversed(one.terms.items())))
    assert backwards.key == one.key
    assert one.key != two.key
    assert one.key != one.scaled(1.0 + 1e-12).key
    twin = Atom("u", "data", 3)
    assert Form.of(twin).key != Form.of(atoms[0]).key, "a name is no identity"


def test_zeros_of_either_sign_are_one_content():
    plus, minus = (matrix(([z, 1.0], ([0, 1], [0, 1])), (2, 2)) for z in (0.0, -0.0))
    assert content(plus) == content(minus) == content(matrix([[0.0, 0.0], [0.0, 1.0]]))


def test_matrices_are_canonical():
    doubled = matrix(([1.0, 2.0, 5.0, -5.0], ([1, 1, 0, 0], [0, 0, 1, 1])), (2, 2))
    np.testing.assert_array_equal(doubled.toarray(), [[0.0, 0.0], [3.0, 0.0]])
    assert doubled.nnz == 1


def test_selections_and_identities():
    picked = selection(np.array([[2, -1], [0, 2]]), 3)
    np.testing.assert_array_equal(picked.toarray(), [[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(eye(2, 3, 5.0).toarray(), [[5, 0, 0], [0, 5, 0]])
    np.testing.assert_array_equal(eye_at(4, 2, 1).toarray(), np.eye(4, 2, -1))
