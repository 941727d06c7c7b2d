"""Neurons compute what they stand for: functions with kinks, gates, products; ramps are honest."""

import numpy as np
import pytest
from hypothesis import given, settings

from innerloop.compiler.expansion import Expansion
from innerloop.compiler.forms import Atom, Form
from innerloop.compiler.functions import Function, Piecewise
from innerloop.compiler.graph import Apply, Flags, Gate, Product
from tests.compiler.passes import Interpreter
from tests.compiler.test_functions import RELU, SIGN, compositions, made

FLAGS = Flags(1)
X, Y, OUT = Atom("x", "data", 1), Atom("y", "data", 1), Atom("out", "data", 1)
RAMP, STEP_RAMP = 1e-12, 1e-6


def run(operations, x, y=None):
    """What the neurons write, for a column of inputs; groups run one after the other."""
    count = len(x)
    values = {X: x[:, None], Y: (x if y is None else y)[:, None], FLAGS.one: np.ones((count, 1))}
    runner = Interpreter(values, np.array(["data"] * count), np.zeros(count, bool))
    expansion = Expansion(FLAGS, RAMP, STEP_RAMP, 2.0**-52)
    expanded = expansion.expand(operations)
    for neurons in expanded:
        zero = np.zeros((count, neurons.out.size))
        runner.values[neurons.out] = runner.values.get(neurons.out, zero) + runner.result(neurons)
    nothing = np.zeros((count, 1))
    return runner.values.get(OUT, nothing)[:, 0], expanded


def apply(pieces):
    return Apply(OUT, Form.of(X), Function.exact(pieces))


@given(tree=compositions)
@settings(max_examples=150)
def test_a_piecewise_linear_function_is_its_hinges(tree):
    pieces = made(tree)[0].pieces
    xs = np.array([k / 16 + 1 / 96 for k in range(-60, 61)])
    clear = ~np.isclose(xs[:, None], np.array(pieces.knots)[None], atol=1e-4).any(axis=1)
    found, _ = run([apply(pieces), Product(Atom("p", "data", 1), Form.of(X), Form.of(Y))], xs)
    expected = pieces(xs)
    scale = 1.0 + np.abs(np.array(pieces.slopes)).max() + np.abs(expected).max()
    np.testing.assert_allclose(found[clear], expected[clear], atol=1e-8 * scale)


@pytest.mark.parametrize(
    ("pieces", "count"),
    [
        (RELU, 1),
        (RELU.after_affine(-1.0, 0.0), 1),
        (Piecewise((0.0, 6.0), (0.0, 1.0, 0.0), (0.0, 0.0, 6.0), (0.0, 6.0)), 2),
    ],
    ids=["relu", "relu(-x)", "relu6"],
)
def test_no_neuron_too_many(pieces, count):
    _, expanded = run([apply(pieces)], np.ones(3))
    assert sum(neurons.count for neurons in expanded) == count


def test_a_jump_is_exact_outside_its_ramp_and_at_the_jump():
    x = np.array([-1e3, -1.0, -2e-6, 0.0, 2e-6, 1.0, 1e3])
    found, expanded = run([apply(SIGN)], x)
    np.testing.assert_allclose(found, np.sign(x), atol=1e-6)
    (ramp,) = [ramp for neurons in expanded for ramp in neurons.ramps]
    assert (ramp.low, ramp.jump, ramp.high) == (-STEP_RAMP, 0.0, STEP_RAMP)


@pytest.mark.parametrize("knot", [0.0, 0.3, -700.0, 1e9])
@pytest.mark.parametrize("value", [1e-3, 1.0, -1e12])
def test_a_gate_is_exact_outside_its_ramp_whatever_it_lets_through(knot, value):
    """No large number meets a small one: closed is zero, open is the value to its last bit."""
    width = max(RAMP, 8 * 2.0**-52 * abs(knot))
    offsets = np.array([-1e6, -1.0, -3 * width, 0.0, 3 * width, 1.0, 1e6])
    x, y = knot + offsets, np.full(7, value)
    found, expanded = run([Gate(OUT, Form.of(X), knot, Form.of(Y))], x, y)
    np.testing.assert_array_equal(found, np.where(x > knot, y, 0.0))
    (ramp,) = [ramp for neurons in expanded for ramp in neurons.ramps]
    assert ramp.low == ramp.jump == knot and ramp.high == pytest.approx(knot + width)


def test_a_product_is_exact(rng):
    x, y = rng.normal(size=101), rng.normal(size=101) * 1e6
    found, _ = run([Product(OUT, Form.of(X), Form.of(Y))], x, y)
    np.testing.assert_array_equal(found, x * y)


def test_gates_of_one_variable_share_their_bit():
    other = Atom("other", "data", 1)
    gates = [Gate(OUT, Form.of(X), 0.0, Form.of(Y)), Gate(other, Form.of(X), 0.0, Form.of(X))]
    _, expanded = run(gates, np.ones(3))
    assert [neurons.computes for neurons in expanded].count("is it off") == 1


def test_a_gate_may_look_at_the_stored_relu():
    """Then the pre-activation need not be kept: the relu is zero where the gate is closed."""
    hidden = Atom("hidden", "data", 1)
    relu = Apply(hidden, Form.of(X), Function.exact(RELU, "relu"))
    expansion = Expansion(FLAGS, RAMP, STEP_RAMP, 2.0**-52)
    expanded = expansion.expand([relu, Gate(OUT, Form.of(X), 0.0, Form.of(Y))])
    (bit,) = [neurons for neurons in expanded if neurons.computes == "is it off"]
    assert bit.stored is not None and hidden in bit.stored.gate.terms
