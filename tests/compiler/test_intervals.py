"""Domains that hold every prompt of a box: sound on random programs, tight enough to be of use."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import HealthCheck, given, settings

import innerloop as il
from innerloop.compiler.box import Box
from innerloop.compiler.calibrate import calibrated
from innerloop.compiler.functions import Function, Piecewise
from innerloop.compiler.intervals import Enclosures, Interval, enclosed, image, product
from innerloop.compiler.lowered import lowered_for
from tests.compiler.random_programs import programs

STEPS = 2
slow_examples = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def contained(case, shrunk=0.0):
    """Whether intervals of the box of two prompts hold what random prompts from it do."""
    samples = [case.prompt, case.fresh]
    box, (n, m) = Box.of(samples), (case.prompt.n, case.prompt.m)
    box = Box(box.x, box.y)
    drawn = box.drawn(jax.random.key(3), 7, n=n, m=m)
    tried = [jax.tree.map(lambda leaf: leaf[k], drawn) for k in range(7)]  # noqa: B023 (used at once)
    with jax.enable_x64(True):
        lowered = lowered_for(case.learner, samples[0], STEPS, attention="linear", dual_form=False)
        seen = calibrated(lowered, [*samples, *tried], STEPS)
        proved = enclosed(lowered, box, n, STEPS)
    margin = 1e-9
    for atom, (low, high) in seen.found.items():
        least, most = proved.arguments[atom]
        if not (1.0 - shrunk) * least <= low + margin * abs(low):
            return False
        if not (1.0 - shrunk) * most >= high - margin * abs(high):
            return False
    return all(
        largest <= reach * (1.0 - shrunk) * (1.0 + margin)
        for atom, reaches in proved.factors.items()
        for largest, reach in zip(seen.sizes[atom], reaches, strict=True)
    )


@given(case=programs(smooth=True, most=3))
@settings(max_examples=15, suppress_health_check=slow_examples)
def test_intervals_hold_whatever_prompts_of_the_box_do(case):
    assert contained(case)


def a_line(**options):
    rng = np.random.default_rng(5)
    sample = il.Prompt(*(rng.normal(size=s) for s in ((7, 3), (7, 1), (2, 3))))
    first = 0.3 * np.ones((1, 3))
    learner = il.learner(
        lambda w, x: jnp.tanh(w @ x), first, optimizer=optax.sgd(0.05), loss=il.squared_error
    )
    return learner, il.compile(learner, steps=STEPS, like=sample, **options), sample


def test_intervals_that_are_too_narrow_are_noticed():
    learner, _, sample = a_line()

    class Case:
        prompt = fresh = sample

    Case.learner = learner
    assert contained(Case) and not contained(Case, shrunk=0.9)


@pytest.mark.parametrize("mlp", ["reglu", "relu"])
def test_no_prompt_of_the_box_leaves_a_proved_domain(mlp):
    learner, model, _ = a_line(domain="box", mlp=mlp)
    assert all(item.enclosed for item in model.certificate.approximations)
    certificate = il.certify(model, learner, 500).certificate
    assert certificate.drawn.covered == 500 and certificate.drawn.inside < 1e-4
    count = len(certificate.approximations)
    assert f"of these {count} intervals, {count} proved by interval arithmetic" in str(certificate)


def test_prompts_of_the_box_leave_measured_domains():
    learner, model, _ = a_line(mlp="relu")
    assert not any(item.enclosed for item in model.certificate.approximations)
    assert il.certify(model, learner, 500).certificate.drawn.covered < 500


def test_domains_are_measured_where_intervals_say_nothing():
    rng = np.random.default_rng(5)
    sample = il.Prompt(*(rng.normal(size=s) for s in ((7, 3), (7, 1), (2, 3))))
    learner = il.learner(
        lambda w, x: jnp.tanh(w @ x), 0.3 * np.ones((1, 3)), optimizer=optax.adam(1e-2)
    )
    certificate = il.compile(learner, steps=STEPS, like=sample, domain="box").certificate
    tanh = [a for a in certificate.approximations if a.function == "tanh"]
    assert tanh and not any(item.enclosed for item in tanh)
    assert all(-6 < item.low < item.high < 6 for item in tanh)


def test_a_saved_model_knows_which_domains_were_proved(tmp_path):
    _, model, _ = a_line(domain="box")
    il.save(model, tmp_path / "model")
    assert il.load(tmp_path / "model").certificate == model.certificate


@pytest.mark.parametrize(
    "function, low, high",
    [(np.tanh, -3.0, 2.0), (np.cos, -1.0, 5.0), (np.sqrt, 0.0, 7.0), (np.exp, -700.0, 3.0)],
)
def test_the_image_of_a_function_holds_its_values(function, low, high):
    smooth = Function(function, None, name="f")
    found = image(smooth, Interval(np.array([[low]]), np.array([[high]])))
    values = function(np.linspace(low, high, 99_991))
    width = values.max() - values.min()
    assert found.low[0, 0] <= values.min() and values.max() <= found.high[0, 0]
    assert found.high[0, 0] - found.low[0, 0] < 1.01 * width


def test_an_image_is_exact_between_kinks_and_unknown_at_poles():
    hat = Function.exact(Piecewise((-1.0, 2.0), (0.0, 1.0, -3.0), (0.0, 1.0, 9.0), (0.0, 3.0)))
    found = image(hat, Interval(np.array([[-5.0, 1.0]]), np.array([[5.0, 2.5]])))
    assert np.allclose(found.low, [[-6.0, 1.5]], rtol=1e-9)
    assert np.allclose(found.high, [[3.0, 3.0]], rtol=1e-9)
    pole = Function(lambda x: 1.0 / x, None, name="reciprocal")
    found = image(pole, Interval(np.array([[-1.0, 0.5]]), np.array([[1.0, np.inf]])))
    assert np.isinf(found.low[0, 0]) and np.isinf(found.high[0, 0])
    assert found.low[0, 1] >= -1e-9 and np.isclose(found.high[0, 1], 2.0)


def test_products_of_intervals():
    one, other = Interval(np.array(-2.0), np.array(3.0)), Interval(np.array(0.0), np.array(np.inf))
    assert product(one, one) == Interval(np.array(-6.0), np.array(9.0))
    assert product(one, other) == Interval(np.array(-np.inf), np.array(np.inf))
    assert product(Interval(np.array(0.0), np.array(0.0)), other) == (0.0, 0.0)


def test_a_square_is_not_negative():
    """Adam's second moment is a sum of squares, so that its root can be enclosed."""
    rng = np.random.default_rng(5)
    sample = il.Prompt(*(rng.normal(size=s) for s in ((7, 3), (7, 1), (2, 3))))
    learner = il.learner(lambda w, x: w @ x, np.zeros((1, 3)), optimizer=optax.adam(1e-2))
    with jax.enable_x64(True):
        lowered = lowered_for(learner, sample, 1, attention="linear", dual_form=False)
        found = enclosed(lowered, Box.of([sample]), 7, 1)
    assert isinstance(found, Enclosures)
    assert min(low for low, _ in found.arguments.values()) >= 0.0
