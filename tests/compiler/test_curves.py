"""A function as its neurons compute it, against the neurons themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop.compiler.curves import Curve, RangeMaximum
from innerloop.compiler.functions import Function, Piecewise
from innerloop.compiler.splines import interpolated

RAMP = 1e-6
SMOOTH = {
    "tanh": (jnp.tanh, -3.0, 4.0),
    "gelu": (jax.nn.gelu, -5.0, 2.0),
    "reciprocal": (lambda x: 1.0 / x, 1e-4, 30.0),
    "from zero": (lambda x: 1.0 / (jnp.sqrt(x) + 1e-4), 0.0, 3.0),
    "falling": (lambda x: jnp.exp(-x), -2.0, 9.0),
}
PIECES = {
    "relu": Piecewise((0.0,), (0.0, 1.0), (0.0, 0.0), (0.0,)),
    "clip": Piecewise((-1.0, 0.5), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.5), (-1.0, 0.5)),
    "left only": Piecewise((0.3,), (-2.0, 0.0), (0.6, 0.0), (0.0,)),
    "sign": Piecewise((0.0,), (0.0, 0.0), (-1.0, 1.0), (0.0,)),
    "jump": Piecewise((-0.5, 0.25), (1.0, -1.0, 2.0), (0.0, 0.0, 1.0), (0.5, 1.5)),
    "line": Piecewise.affine(-1.5, 0.25),
}


def curves():
    with jax.enable_x64(True):
        for name, (evaluate, low, high) in SMOOTH.items():
            function = Function(evaluate, None, name=name)
            spline = interpolated(function, low, high, tolerance=1e-5, degree=2)
            assert spline is not None
            yield name, Curve.of(function, spline, RAMP), low, high
    for name, pieces in PIECES.items():
        yield name, Curve.of(Function.exact(pieces), None, RAMP), -2.0, 2.0


CURVES = {name: rest for name, *rest in curves()}


@pytest.mark.parametrize("name", CURVES)
def test_pieces_and_neurons_are_one_curve(name, rng):
    curve, low, high = CURVES[name]
    x = rng.uniform(1.5 * low - 1, 1.5 * high + 1, size=(101, 3))
    rounding = np.finfo(float).eps * curve.rounding(x, np.zeros_like(x), np.abs(x), 1)
    assert (np.abs(curve.value(x) - curve.spline(x)) <= rounding).all()


@pytest.mark.parametrize("name", PIECES)
def test_away_from_jumps_neurons_are_the_function(name, rng):
    curve = CURVES[name][0]
    x = rng.uniform(-2.0, 2.0, size=1000)
    np.testing.assert_allclose(curve.value(x), PIECES[name](x), atol=1e-8)


@pytest.mark.parametrize("width", [1e-9, 1e-3, 0.1, 2.0])
@pytest.mark.parametrize("name", CURVES)
def test_no_neighbour_is_further_than_the_spread(name, width, rng):
    """Up to rounding, which is stated apart; and the spread is no wild guess."""
    curve, low, high = CURVES[name]
    x = rng.uniform(low, high, size=301)
    r = width * rng.uniform(0.0, 1.0, size=301)
    spread = curve.spread(x, r)
    moves = np.linspace(-1.0, 1.0, 41)[:, None] * r
    found = np.abs(curve.value(x + moves) - curve.value(x)).max(axis=0)
    slack = 1e-12 * np.maximum(1.0, np.abs(curve.value(x)))
    assert (found <= spread * (1 + 1e-9) + slack + 1e-9 * bool(curve.jumps)).all()
    steepest = np.abs(np.diff(curve.value(np.linspace(low - 2, high + 2, 20001)))).max() * 20001
    heights = sum(height for _, _, height in curve.jumps)
    assert (spread <= r * steepest + heights).all()


@pytest.mark.parametrize("width", [1e-9, 1e-3, 0.1, 2.0])
@pytest.mark.parametrize("name", [name for name in CURVES if not CURVES[name][0].jumps])
def test_a_tangent_is_as_far_off_as_it_says(name, width, rng):
    curve, low, high = CURVES[name]
    x = rng.uniform(low, high, size=301)
    r = width * rng.uniform(0.0, 1.0, size=301)
    slope, bend = curve.tangent(x, r)
    moves = np.linspace(-1.0, 1.0, 41)[:, None] * r
    found = np.abs(curve.value(x + moves) - curve.value(x) - slope * moves).max(axis=0)
    slack = 1e-12 * np.maximum(1.0, np.abs(curve.value(x)))
    assert (found <= bend * r * (1 + 1e-9) + slack).all()


@pytest.mark.parametrize("name", CURVES)
def test_rounding_covers_neurons_in_float32(name, rng):
    """The neurons in single precision, with weights rounded, against double precision."""
    curve, low, high = CURVES[name]
    spline = curve.spline
    x = rng.uniform(low, high, size=501).astype(np.float32).astype(float)
    narrow = [np.asarray(v, np.float32) for v in (spline.knots, spline.linear, spline.quadratic)]
    distance = np.maximum(
        np.float32(spline.facing) * (x.astype(np.float32)[:, None] - narrow[0]), 0
    )
    bends = (distance * (narrow[1] + narrow[2] * distance)).sum(axis=1)
    found = np.float32(spline.slope) * x.astype(np.float32) + np.float32(spline.intercept) + bends
    spacing = float(np.finfo(np.float32).eps)
    rounding = spacing * curve.rounding(x, np.zeros_like(x), np.abs(x), 1)
    assert (np.abs(found - curve.value(x)) <= rounding).all()
    assert np.median(rounding) <= 1e4 * spacing * np.max(np.abs(curve.spline.linear), initial=1.0)


def test_range_maxima(rng):
    values = rng.normal(size=37)
    found = RangeMaximum(values)
    low = rng.integers(0, 37, size=200)
    high = np.minimum(37, low + rng.integers(0, 37, size=200))
    expected = [values[a:b].max(initial=-np.inf) for a, b in zip(low, high, strict=True)]
    np.testing.assert_array_equal(found(low, high), expected)
