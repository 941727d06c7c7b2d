"""Akyurek et al. (2023): the primitives, one step of SGD, one of Sherman and Morrison."""

import numpy as np
import pytest

import innerloop as il
from innerloop import constructions
from innerloop.constructions._blocks import Layer, Slots
from innerloop.constructions._construction import construction
from innerloop.constructions._hinges import interpolant
from innerloop.constructions._primitives import apply_hinges, codes, mov, mul
from tests.oracles import least_squares
from tests.registries import ordered, regression

SIZES = {"d": 3, "p": 2, "examples": 13}
SLOTS = Slots(x=3, y=2, one=1, place=14, out=2)


def program(layer, *, activation="relu"):
    """One layer on tokens `(x; y; 1; place; out)`, read at `out`."""
    x, y, one, place = codes(3, 2, 14)
    tokens = SLOTS.x.T @ x + SLOTS.y.T @ y + SLOTS.one.T @ one + SLOTS.place.T @ place
    return construction(
        [layer], d=3, embed=(tokens, tokens), unembed=SLOTS.out, activation=activation
    )


@pytest.mark.parametrize("k", [0, 5, 12])
def test_mov_copies_from_a_position(k, rng):
    prompt = regression(rng)
    head = mov(SLOTS.place[k : k + 1], SLOTS.one, SLOTS.y, SLOTS.out.T)
    found = program(Layer((head,)))(prompt)
    np.testing.assert_allclose(found, np.tile(prompt.y[k], (7, 1)), atol=1e-15)
    assert not np.allclose(found, prompt.y[k - 1])


def test_mul_by_reglu_is_exact_and_by_gelu_has_slope_two(rng):
    prompt = regression(rng)
    products = prompt.xq[:, :2] * prompt.xq[:, 1:]
    factors = SLOTS.x[:2], SLOTS.x[1:], SLOTS.out.T
    np.testing.assert_allclose(program(Layer((), mul(*factors)))(prompt), products, rtol=1e-12)
    errors = []
    for delta in (1e-1, 1e-2, 1e-3):
        model = program(Layer((), mul(*factors, delta)), activation="gelu")
        errors.append(np.abs(model(prompt) - products).max())
    np.testing.assert_allclose(np.diff(np.log10(errors)), -2.0, atol=0.05)


def test_div_by_hinges(rng):
    """`1 / (5 + x)` on `[-1, 1]`, within `h^2 max |f''| / 8`."""
    prompt = regression(rng)
    for intervals in (5, 20):
        hinges = interpolant(lambda t: 1 / (5 + t), 1.0, intervals)
        neurons = apply_hinges(hinges, SLOTS.x[:1], SLOTS.out[:1].T)
        found = program(Layer((), neurons))(prompt)[:, 0]
        error = np.abs(found - 1 / (5 + prompt.xq[:, 0])).max()
        assert 0 < error <= (2 / intervals) ** 2 * (2 / 4**3) / 8


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_theorem_1_with_slope_two(steps, rng):
    prompt, w = ordered(rng), np.zeros((2, 3))
    queries = prompt.xq[:, :3]
    for x, y in zip(prompt.x[:steps, :3], prompt.y[:steps], strict=True):
        w = w - 2 * 0.1 * (np.outer(w @ x - y, x) + 0.3 * w)
    errors = []
    settings = {**SIZES, "steps": steps, "learning_rate": 0.1}
    for delta in (1e-1, 1e-2, 1e-3):
        model = constructions.online_gradient_descent(**settings, penalty=0.3, delta=delta)
        errors.append(np.abs(model(prompt) - queries @ w.T).max())
    np.testing.assert_allclose(np.diff(np.log10(errors)), -2.0, atol=0.1)
    assert model.depth == 2 * steps + 1
    other = constructions.online_gradient_descent(**settings, penalty=0.0, delta=1e-3)
    assert (np.abs(other(prompt) - queries @ w.T).max() > 1e-3) == (steps > 1)


@pytest.mark.parametrize("steps", [1, 2, 5, 13])
def test_theorem_2_is_ridge_on_what_was_read(steps, rng):
    prompt = ordered(rng)
    seen = il.Prompt(prompt.x[:steps, :3], prompt.y[:steps], prompt.xq[:, :3])
    expected = least_squares.ridge(seen, 0.5 / steps)
    errors = []
    for hinges in (64, 1024):
        model = constructions.sherman_morrison(
            **SIZES, steps=steps, penalty=0.5, largest=6.0, hinges=hinges
        )
        errors.append(np.abs(model(prompt) - expected).max())
    assert errors[1] < 1e-4
    assert errors[1] < errors[0]
    assert model.depth == 5 * steps + 1
