"""Scalar functions: piecewise-linear ones stay exact under every operation, knots included."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import innerloop as il
from innerloop.compiler.functions import IDENTITY, Function, Piecewise

RELU = Piecewise((0.0,), (0.0, 1.0), (0.0, 0.0), (0.0,))
SIGN = Piecewise((0.0,), (0.0, 0.0), (-1.0, 1.0), (0.0,))
CONSTANTS = [Fraction(k, 4) for k in range(-6, 7)]
OPERATIONS = {
    "add": (np.add, lambda a, b: a + b),
    "sub": (np.subtract, lambda a, b: a - b),
    "max": (np.maximum, max),
    "min": (np.minimum, min),
    "gt": (np.greater, lambda a, b: Fraction(a > b)),
    "ge": (np.greater_equal, lambda a, b: Fraction(a >= b)),
    "eq": (np.equal, lambda a, b: Fraction(a == b)),
    "abs": (np.abs, abs),
    "neg": (np.negative, lambda a: -a),
    "sign": (np.sign, lambda a: Fraction((a > 0) - (a < 0))),
}


def made(tree):
    """A tree as the compiler keeps it, and as rational arithmetic."""
    match tree:
        case "x":
            return IDENTITY, lambda x: x
        case Fraction():
            return Function.affine(0.0, float(tree)), lambda x: tree
        case ("times", Fraction() as factor, inner):
            function, exact = made(inner)
            product = [function, Function.affine(0.0, float(factor))]
            scaled = Function.of_operation("mul", np.multiply, product)
            return scaled, lambda x: factor * exact(x)
        case ("where", *parts):
            functions, (which, no, yes) = zip(*map(made, parts), strict=True)
            picked = Function.of_operation(
                "select_n", lambda c, a, b: np.where(c != 0, b, a), functions
            )
            return picked, lambda x: yes(x) if which(x) else no(x)
        case (name, *parts):
            functions, exacts = zip(*map(made, parts), strict=True)
            evaluate, exact = OPERATIONS[name]
            function = Function.of_operation(name, evaluate, functions)
            return function, lambda x: exact(*(e(x) for e in exacts))


FACTORS = [Fraction(k, 2) for k in (-4, -2, -1, 1, 2, 4)]
compositions = st.recursive(
    st.one_of(st.just("x"), st.sampled_from(CONSTANTS)),
    lambda tree: st.one_of(
        st.tuples(st.sampled_from(["abs", "neg", "sign"]), tree),
        st.tuples(st.sampled_from(["add", "sub", "max", "min"]), tree, tree),
        st.tuples(st.just("times"), st.sampled_from(FACTORS), tree),
        st.tuples(
            st.just("where"),
            st.tuples(st.sampled_from(["gt", "ge", "eq"]), tree, tree),
            tree,
            tree,
        ),
    ),
    max_leaves=8,
)
"""Trees of operations; plain data, because the type checker draws random numbers of its own."""


def is_dyadic(value):
    """Whether a knot is the rational number itself, and not its rounding."""
    return Fraction(value).denominator <= 1 << 20


@given(tree=compositions, points=st.lists(st.integers(-300, 300), min_size=5, max_size=5))
@settings(max_examples=300)
def test_compositions_are_exact_between_knots_and_at_them(tree, points):
    function, exact = made(tree)
    pieces = function.pieces
    assert pieces is not None
    xs = [k / 64 for k in points]
    for knot in pieces.knots:
        beside = Fraction(knot).limit_denominator(1000)
        xs += [float(beside + Fraction(1, 1 << 12)), float(beside - Fraction(1, 1 << 12))]
    xs += [knot for knot in pieces.knots if is_dyadic(knot)]
    expected = [float(exact(Fraction(x))) for x in xs]
    np.testing.assert_allclose(pieces(np.array(xs)), expected, rtol=1e-11, atol=1e-11)


@given(tree=compositions)
@settings(max_examples=100)
def test_simplified_and_refined_change_nothing(tree):
    pieces = made(tree)[0].pieces
    xs = np.array([k / 8 for k in range(-40, 41)] + list(pieces.knots))
    more = pieces.refined([-3.0, 0.125, 7.0])
    assert {-3.0, 0.125, 7.0} <= set(more.knots)
    np.testing.assert_allclose(more(xs), pieces(xs), atol=1e-12)
    assert more.simplified() == pieces.simplified()


@given(
    tree=compositions,
    slope=st.sampled_from([-2.0, -0.5, 0.5, 1.0, 4.0]),
    offset=st.sampled_from([-1.0, 0.0, 0.25]),
)
@settings(max_examples=100)
def test_after_affine_is_composition(tree, slope, offset):
    pieces = made(tree)[0].pieces
    xs = np.array([k / 8 for k in range(-40, 41)])
    inner = slope * xs + offset
    far = ~np.isclose(inner[:, None], np.array(pieces.knots)[None], atol=1e-9).any(axis=1)
    exactly = np.isin(inner, [knot for knot in pieces.knots if is_dyadic(knot)])
    picked = far | exactly
    composed = pieces.after_affine(slope, offset)
    np.testing.assert_allclose(composed(xs)[picked], pieces(inner)[picked], atol=1e-11)
    assert list(composed.knots) == sorted(composed.knots)


@given(tree=compositions)
@settings(max_examples=100)
def test_without_its_jumps_a_function_is_continuous(tree):
    pieces = made(tree)[0].pieces
    jumps = pieces.jumps()
    lowered = pieces.lowered(jumps)
    assert lowered.jumps() == []
    xs = np.array([k / 8 + 1 / 48 for k in range(-40, 41)])
    back = sum((left + right) * (xs > t) for t, left, right in jumps)
    near = np.isclose(xs[:, None], np.array(pieces.knots)[None], atol=1e-9).any(axis=1)
    np.testing.assert_allclose((lowered(xs) + back)[~near], pieces(xs)[~near], atol=1e-10)


@pytest.mark.parametrize(
    ("pieces", "jumps"),
    [
        (RELU, []),
        (SIGN, [(0.0, 1.0, 1.0)]),
        (Piecewise((2.0,), (0.0, 0.0), (0.0, 1.0), (0.0,)), [(2.0, 0.0, 1.0)]),
        (Piecewise((2.0,), (1.0, 1.0), (0.0, 0.0), (5.0,)), [(2.0, 3.0, -3.0)]),
    ],
    ids=["relu", "sign", "step", "a point of its own"],
)
def test_jumps_have_a_place_and_two_sides(pieces, jumps):
    assert pieces.jumps() == jumps


def test_a_function_that_is_not_piecewise_linear_has_no_pieces():
    square = Function.of_operation("mul", np.multiply, [IDENTITY, IDENTITY])
    assert square.pieces is None and square.coefficients == (0.0, 0.0, 1.0)
    np.testing.assert_array_equal(square.evaluate(np.array([2.0, 3.0])), [4.0, 9.0])
    smooth = Function.of_operation("tanh", np.tanh, [IDENTITY])
    assert smooth.pieces is None and smooth.coefficients is None


def test_where_a_smooth_function_has_a_kink_is_kept():
    absolute = Function.of_operation("abs", np.abs, [IDENTITY])
    smooth = Function.of_operation("exp", np.exp, [absolute])
    assert smooth.specials == (0.0,)


def test_equal_functions_have_equal_keys():
    def relu_of(shift):
        inner = Function.of_operation("add", np.add, [IDENTITY, Function.affine(0.0, shift)])
        return Function.of_operation("max", np.maximum, [inner, Function.affine(0.0, 0.0)])

    assert relu_of(0.5).key == relu_of(0.5).key != relu_of(0.25).key
    tanh, other = (
        Function.of_operation("tanh", np.tanh, [IDENTITY], settings) for settings in ("a", "b")
    )
    assert tanh.key != other.key


@pytest.mark.parametrize(
    ("name", "evaluate", "label"),
    [("max", np.maximum, "relu"), ("gt", np.greater, "step")],
)
def test_known_functions_are_called_by_their_names(name, evaluate, label):
    made = Function.of_operation(name, evaluate, [IDENTITY, Function.affine(0.0, 0.0)])
    assert made.name == label


def test_a_polynomial_and_a_line_meet_where_they_are_equal():
    square = Function.of_operation("square", np.square, [Function.affine(1.0)], "[]")
    larger = Function.of_operation("max", np.maximum, [Function.affine(3.0, -2.0), square], "[]")
    assert np.allclose(larger.specials, [1.0, 2.0])
    apart = Function.of_operation("max", np.maximum, [Function.affine(0.0, -1.0), square], "[]")
    assert apart.specials == ()


def test_polynomials_whose_powers_cancel_are_lines():
    square = Function.of_operation("square", np.square, [IDENTITY], "[]")
    shifted = Function.of_operation("add", np.add, [square, Function.affine(3.0, -2.0)], "[]")
    line = Function.of_operation("sub", np.subtract, [shifted, square], "[]")
    assert line.pieces == Piecewise.affine(3.0, -2.0)
    nothing = Function.of_operation("sub", np.subtract, [square, square], "[]")
    assert nothing.pieces == Piecewise.affine(0.0, 0.0)


def test_a_value_that_cancels_behind_products_compiles(rng):
    prompt = il.Prompt(*(rng.normal(size=s) for s in ((7, 3), (7, 2), (5, 3))))
    weights = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))

    def predict(w, x):
        v = 0.5 * x * x
        return w[0] @ (v * v - v * v) + w[1] @ x

    learner = il.learner(predict, weights, optimizer=optax.sgd(0.05))
    model = il.compile(learner, steps=2, like=prompt)
    np.testing.assert_allclose(model(prompt), il.run(learner, prompt, steps=2)[-1], atol=1e-10)


def test_the_larger_of_a_value_and_its_square_compiles(rng):
    prompt = il.Prompt(*(rng.normal(size=s) for s in ((7, 3), (7, 2), (5, 3))))
    weights = rng.normal(size=(2, 3))

    def predict(w, x):
        v = w @ x
        return jnp.maximum(v, 0.5 * v * v)

    learner = il.learner(predict, weights, optimizer=optax.sgd(0.05))
    model = il.compile(learner, steps=2, like=prompt)
    np.testing.assert_allclose(model(prompt), il.run(learner, prompt, steps=2)[-1], atol=1e-5)
