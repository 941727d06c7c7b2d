"""Neurons of one scalar as a piecewise polynomial: the exact sum, and nothing else."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

from innerloop.compiler.forms import matrix
from innerloop.compiler.functions import Function
from innerloop.compiler.runner.known import Known
from innerloop.compiler.runner.piecewise import curved
from innerloop.compiler.runner.sparse import SparseNeurons
from innerloop.compiler.runner.stack import Stack
from innerloop.compiler.splines import interpolated

EPS = np.finfo(np.float64).eps
VARYING, TOKENS = 4, 7
"""The stream: four coordinates that vary, then a one."""


def stream(constant=((1.0,),)):
    constant = np.asarray(constant)
    values = np.concatenate([np.zeros((VARYING, constant.shape[1])), constant])
    return Known(values, np.arange(VARYING + 1) < VARYING)


def neurons_of(gate, value, out, rectified=None):
    """Gates and values `(f, r + 1)`, with biases last; outputs `(r, f)`."""
    rectified = np.ones(len(gate), bool) if rectified is None else rectified
    return SparseNeurons(
        matrix(gate[:, :-1]),
        gate[:, -1],
        matrix(value[:, :-1]),
        value[:, -1],
        rectified,
        matrix(out),
        np.zeros(len(out)),
    )


def bundle(rng, count=20):
    """Neurons of two scalars in two directions each; the constants in a coordinate and a bias."""
    directions = np.array([[0.3, 0.0, -0.7, 0.0], [0.0, 1.0, 0.0, 0.0]])
    gate, value, out = [], [], []
    for scalar in range(2):
        for _ in range(count):
            s, r = rng.choice([-1.0, 1.0]), rng.normal()
            k, m = rng.normal(size=(2, 2))
            gate.append([*(s * directions[scalar]), *k])
            value.append([*(r * directions[scalar]), *m])
            out.append(rng.normal() * np.array([0.0, 0.0, 2.0, -0.5 * scalar, 0.0]))
    return neurons_of(np.asarray(gate), np.asarray(value), np.asarray(out).T)


def summed(neurons, tokens):
    """The neurons one by one, and the sum of their sizes."""
    gate = np.maximum(neurons.gate @ tokens + neurons.gate_bias[:, None], 0.0)
    hidden = gate * (neurons.value @ tokens + neurons.value_bias[:, None])
    return neurons.out @ hidden, abs(neurons.out) @ abs(hidden)


def whole(found, known, tokens):
    """The curves and the other neurons together."""
    stack = Stack.of_parts(
        VARYING + 1,
        tokens.shape[1],
        [
            (np.arange(VARYING), Stack.of_array(jnp.asarray(tokens[:VARYING]))),
            (np.array([VARYING]), Stack.of_known(known.values[VARYING:], tokens.shape[1])),
        ],
        np.dtype("float64"),
    )
    total, _ = summed(found.others, tokens)
    return total + sum(curve.out @ np.asarray(curve.of(stack)) for curve in found.curves)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def test_the_sum_of_the_neurons(rng):
    neurons, known = bundle(rng), stream()
    found = curved(neurons, known, "float64")
    assert len(found.curves) == 2 and not len(found.others.rectified)
    tokens = np.concatenate([3 * rng.normal(size=(VARYING, TOKENS)), np.ones((1, TOKENS))])
    expected, size = summed(neurons, tokens)
    assert (np.abs(whole(found, known, tokens) - expected) <= 50 * EPS * size.max()).all()
    assert np.abs(expected).max() > 0.1


def test_scalars_with_the_same_function_share_it():
    knots = np.linspace(-1.0, 1.0, 30)
    gate = np.zeros((60, VARYING + 2))
    gate[:30, 0], gate[30:, 1] = 1.0, 1.0
    gate[:, -1] = np.tile(-knots, 2)
    value = np.zeros_like(gate)
    value[:, -1] = 1.0
    out = np.zeros((VARYING + 1, 60))
    out[2, :30], out[3, 30:] = 1.0, 1.0
    (curve,), others = curved(neurons_of(gate, value, out), stream(), "float64")
    assert not len(others.rectified)
    np.testing.assert_array_equal(curve.knots, knots)
    np.testing.assert_array_equal(curve.reads.toarray(), np.eye(2, VARYING + 1))
    np.testing.assert_array_equal(curve.out.toarray(), np.eye(VARYING + 1)[:, 2:4])


def test_others_are_left_alone(rng):
    """Of another direction, to another place, not rectified, or too few."""
    plain = bundle(rng, 40)
    gate = plain.gate.toarray()
    value, out = plain.value.toarray(), plain.out.toarray()
    gate[1, 0] *= 1.0 + 1e-9
    value[2, 1] = 0.1
    out[0, 3] = 1.0
    rectified = np.arange(80) != 4
    gate = np.column_stack([gate, plain.gate_bias])
    value = np.column_stack([value, plain.value_bias])
    changed = neurons_of(gate, value, out, rectified)
    found = curved(changed, stream(), "float64")
    assert len(found.others.rectified) == 4 and not found.others.rectified.all()
    assert not curved(plain.chosen(np.arange(33, 48)), stream(), "float64").curves


def test_constants_that_differ_by_token_make_no_curve(rng):
    uneven = stream(rng.normal(size=(1, TOKENS)))
    found = curved(bundle(rng), uneven, "float64")
    assert not found.curves and len(found.others.rectified) == 40


def test_coefficients_beyond_the_precision_make_no_curve(rng):
    neurons = bundle(rng)
    large = neurons._replace(value=matrix(neurons.value * 1e39))
    assert len(curved(large, stream(), "float64").curves) == 2
    assert not curved(large, stream(), "float32").curves


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
def test_numbers_that_are_not_finite_are_left_to_the_neurons(wrong, rng):
    neurons = bundle(rng)
    value_bias = neurons.value_bias.copy()
    value_bias[3] = wrong
    found = curved(neurons._replace(value_bias=value_bias), stream(), "float64")
    assert len(found.curves) == 2 and len(found.others.rectified) == 1


def test_nothing_cancels(rng):
    """Over ten decades, where the neurons added up one by one lose digits, none is lost here."""
    function = Function(lambda v: 1.0 / (np.sqrt(v) + 1e-6), None)
    spline = interpolated(function, 0.0, 4.0, tolerance=1e-6, degree=2)
    assert spline is not None
    facing, count = float(spline.facing), len(spline.knots)
    gate = np.zeros((count, VARYING + 2))
    gate[:, 0], gate[:, -1] = facing, -facing * spline.knots
    value = np.zeros_like(gate)
    value[:, 0] = facing * spline.quadratic
    value[:, -1] = spline.linear - facing * spline.quadratic * spline.knots
    out = np.zeros((VARYING + 1, count))
    out[1] = 1.0
    neurons = neurons_of(gate, value, out)
    (curve,), _ = curved(neurons, stream(), "float64")
    at = 10.0 ** rng.uniform(-9, 0.5, 25)
    found = np.asarray(curve.of(Stack.of_array(jnp.asarray(np.pad(at[None], ((0, 4), (0, 0)))))))
    exact = [
        float(
            sum(
                max(Fraction(a) * z + Fraction(b), Fraction(0)) * (Fraction(c) * z + Fraction(d))
                for a, b, c, d in np.stack([gate[:, 0], gate[:, -1], value[:, 0], value[:, -1]]).T
            )
        )
        for z in map(Fraction, at)
    ]
    straight = spline.slope * at + spline.intercept
    truth = function.evaluate(at)
    error = np.abs(found[0] - exact) / np.maximum(np.abs(exact), truth)
    assert error.max() < 1e-14
    one_by_one, _ = summed(neurons, np.pad(at[None], ((0, 4), (0, 0))))
    assert np.abs(one_by_one[1] - exact).max() > 1e-11
    assert np.abs(straight + found[0] - truth).max() < 2e-6 * truth.max()


def test_sparse_rows_survive(rng):
    """Weights are read, never changed: scipy tidies in place what it is handed."""
    neurons = bundle(rng)
    before = [sp.csr_array(w, copy=True) for w in (neurons.gate, neurons.value, neurons.out)]
    curved(neurons, stream(), "float64")
    for old, new in zip(before, (neurons.gate, neurons.value, neurons.out), strict=True):
        assert (old != new).nnz == 0
