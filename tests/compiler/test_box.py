"""Boxes around sample prompts, and random prompts from them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop as il
from innerloop.compiler.box import Box
from tests.compiler.cases import apply_mlp, matrix, prompt_of


def test_samples_lie_in_their_box_and_touch_it(rng):
    prompts = [prompt_of(rng, n=n) for n in (7, 11, 13)]
    box = Box.of(prompts)
    x = np.concatenate([part for p in prompts for part in (p.x, p.xq)])
    np.testing.assert_array_equal(np.transpose(box.x), [x.min(0), x.max(0)])
    assert not box.labels


def test_what_is_drawn_fills_the_box(key):
    box = Box(x=((-1.0, 2.0), (0.5, 0.5)), y=((0.0, 3.0),))
    drawn = box.drawn(key, 500, n=7, m=3)
    assert (drawn.x.shape, drawn.y.shape, drawn.xq.shape) == ((500, 7, 2), (500, 7, 1), (500, 3, 2))
    for values, (low, high) in ((drawn.x[..., 0], box.x[0]), (drawn.y[..., 0], box.y[0])):
        assert low <= values.min() < low + 0.01 and high - 0.01 < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 0.05
    assert (drawn.xq[..., 1] == 0.5).all()
    again = box.drawn(key, 500, n=7, m=3)
    np.testing.assert_array_equal(drawn.x, again.x)
    assert (box.drawn(jax.random.split(key)[0], 500, n=7, m=3).x != drawn.x).any()


def test_labels_stay_labels(rng, key):
    x, y = rng.normal(size=(20, 3)), np.eye(3)[rng.integers(3, size=20)]
    drawn = Box.of([il.Prompt(x, y, x)]).drawn(key, 50, n=11, m=1)
    assert set(map(tuple, drawn.y.reshape(-1, 3))) == set(map(tuple, np.eye(3)))


@pytest.mark.parametrize("interval", [(1.0, 0.0), (0.0, np.inf), (np.nan, 1.0)])
def test_an_empty_interval_is_refused(interval):
    with pytest.raises(ValueError, match="finite, with its low end first; y has"):
        Box(x=((0.0, 1.0),), y=(interval,))


def test_random_prompts_are_measured_many_at_a_time(rng):
    """As one by one, and said in the certificate."""
    layers = [(matrix(rng, 5, 3), 0.1 * rng.normal(size=5)), (matrix(rng, 2, 5), np.zeros(2))]
    learner = il.learner(apply_mlp, layers, optimizer=optax.sgd(0.1))
    prompt = prompt_of(rng)
    model = il.compile(learner, steps=3, like=prompt)
    certificate = il.certify(model, learner, 300).certificate
    drawn = certificate.drawn
    assert drawn is not None and (drawn.prompts, drawn.n, drawn.m) == (300, 11, 5)
    assert drawn.covered >= 299 and 0 < drawn.inside < 1e-12
    whole = certificate.box.drawn(jax.random.key(0), 300, n=11, m=5)
    worst = 0.0
    for k in range(0, 300, 50):
        one = jax.tree.map(lambda leaf, k=k: leaf[k], whole)
        truth = il.run(learner, one, steps=3)
        worst = max(worst, np.abs(model.iterates(one) - truth).max() / np.abs(truth).max())
    assert worst <= drawn.inside * 2
    assert "300 random prompts (11 examples, 5 queries, uniform in the box" in str(certificate)


def test_random_prompts_that_leave_a_domain_are_counted_apart():
    """Unit vectors as the sample: `x_1 + x_2` reaches 1, and 2 in a corner of their box."""
    prompt = il.Prompt(np.eye(3), [[0.5], [0.4], [0.3]], np.zeros((1, 3)))
    learner = il.learner(
        lambda w, x: jnp.tanh(w @ x), np.array([[1.0, 1.0, 0.0]]), optimizer=optax.sgd(0.1)
    )
    model = il.compile(learner, steps=1, like=prompt)
    drawn = il.certify(model, learner, 200, key=jax.random.key(1)).certificate.drawn
    assert 0 < drawn.covered < 200
    assert drawn.inside < 1e-5 < drawn.outside
    assert f"{200 - drawn.covered} of them that leave a domain" in str(drawn)


def test_certify_draws_at_least_one(rng):
    prompt = prompt_of(rng)
    learner = il.algorithms.gradient_descent(0.1)
    model = il.compile(learner, steps=1, like=prompt)
    with pytest.raises(ValueError, match="at least one prompt to measure on; got 0"):
        il.certify(model, learner, 0)
