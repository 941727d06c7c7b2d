"""The loss by second moments of contexts against prompts, and stretched contexts against plain."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop import models, tasks, training
from innerloop.models import PreconditionedAttention
from innerloop.prompts import Prompt

N, D, CONTEXTS = 7, 3, 5
ROOT = tasks.rotated((1.0, 0.5, 0.25), seed=1)
TASK = tasks.LinearRegression(
    n=N,
    d=D,
    m=D,
    covariates=tasks.Covariates(scale=1.3, mixing=ROOT),
    teacher_mixing=((1.0, 0.3, 0.0), (0.0, 0.8, -0.2), (0.1, 0.0, 0.5)),
)
QUERIES = np.sqrt(D) * 1.3 * np.array(ROOT)  # their second moments are those of the law


def _model(depth, rng, *, transforms=True):
    a, b = 0.4 * rng.normal(size=(2, depth, D, D))
    return PreconditionedAttention(jnp.asarray(a), jnp.asarray(b) if transforms else None)


def _by_prompts(model, x):
    def one(x):
        sample = tasks.Sample(Prompt(x, jnp.zeros((N, 1)), QUERIES), jnp.zeros((D, 1)))
        return training.expected_loss(model, sample, TASK)

    return jax.vmap(one)(x).mean()


def _by_moments(model, x):
    moments = jnp.einsum("bni,bnj->ijb", x, x) / N
    return training.moments_loss(model, training.Contexts(moments, jnp.ones(len(x))), TASK)


@pytest.mark.parametrize(
    ("depth", "transforms"), [(1, True), (2, False), (5, True)], ids=["one", "steps", "five"]
)
def test_second_moments_decide_the_loss_and_its_slopes(depth, transforms, rng):
    model, x = _model(depth, rng, transforms=transforms), rng.normal(size=(CONTEXTS, N, D))
    found = eqx.filter_jit(eqx.filter_value_and_grad(_by_moments))(model, x)
    stated = eqx.filter_jit(eqx.filter_value_and_grad(_by_prompts))(model, x)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(stated), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10 * float(stated[0]))


@pytest.mark.parametrize("fault", ["A", "B", "order"])
def test_a_twin_with_a_fault_has_another_loss(fault, rng):
    model, x = _model(3, rng), rng.normal(size=(CONTEXTS, N, D))
    assert model.B is not None
    twins = {
        "A": eqx.tree_at(lambda m: m.A, model, jnp.swapaxes(model.A, 1, 2)),
        "B": eqx.tree_at(lambda m: m.B, model, jnp.swapaxes(model.B, 1, 2)),
        "order": jax.tree.map(lambda leaf: leaf[::-1], model),
    }
    stated = float(eqx.filter_jit(_by_prompts)(model, x))
    assert abs(float(eqx.filter_jit(_by_moments)(twins[fault], x)) - stated) > 1e-3 * stated


def test_weights_leave_means_as_they_are_and_stretched_contexts_are_far_out():
    plain, stretched = (
        training.second_moments(TASK, 20_000, key=jax.random.key(2), stretches=factors)
        for factors in ((), (2.0, 6.0))
    )
    weights = np.asarray(stretched.weights)
    assert (np.asarray(plain.weights) == 1).all()
    assert weights.max() <= 2 and weights.min() < 1e-3
    second, _ = TASK.covariates.moments(D)
    inverse = np.linalg.inv(second)
    cases = [(plain, np.ones(len(weights))), (stretched, weights)]
    values = [np.ones(len(weights)), weights]
    targets = [1.0, 1.0]
    for contexts, counts in cases:
        white = np.einsum("ij,jkb->ikb", inverse, contexts.moments)
        values += [counts * np.einsum("iib->b", white)]
        values += [counts * np.einsum("ijb,jib->b", white, white)]
        targets += [D, D + D * (D + 1) / N]
    for value, target in zip(values, targets, strict=True):
        assert abs(value.mean() - target) < 4.5 * value.std() / np.sqrt(len(value)) + 1e-12
    largest = [np.einsum("iib->b", c.moments).max() for c in (plain, stretched)]
    assert largest[1] > 1.5 * largest[0]


@pytest.mark.slow
def test_training_on_second_moments_arrives_at_the_best_step():
    n, d, steps = 7, 2, 100
    config = training.TrainingConfig(
        steps=steps,
        batch=64,
        loss="moments",
        optimizer=training.Optimizer(0.1, schedule="cosine", clip=1.0),
        evaluate_every=steps,
        evaluation_prompts=500,
        stretches=(2.0,),
    )
    task = tasks.LinearRegression(n=n, d=d)
    run = training.train(models.Preconditioned(), task, config, seeds=(3,))
    np.testing.assert_allclose(run.models.A[:, 0], [n / (n + d + 1) * np.eye(d)], atol=0.04)
    again = training.second_moments(
        task, config.evaluation_prompts, key=jax.random.key(5), stretches=config.stretches
    )
    np.testing.assert_allclose(
        training.moments_loss(run.model(0), again, task), run.held_out[0], rtol=1e-6
    )


def test_what_the_loss_by_second_moments_is_not_known_for_is_refused(rng, key):
    contexts = training.second_moments(TASK, 2, key=key)
    with pytest.raises(ValueError, match="that of Preconditioned layers; got function"):
        training.moments_loss(lambda prompt: prompt.xq, contexts, TASK)
    with pytest.raises(ValueError, match="one target and no noise"):
        training.moments_loss(_model(1, rng), contexts, dataclasses.replace(TASK, noise=0.1))
    with pytest.raises(ValueError, match="independent; got Sine"):
        training.second_moments(tasks.Sine(n=5), 2, key=key)
    uniform = dataclasses.replace(TASK, covariates=tasks.Covariates("uniform"))
    with pytest.raises(ValueError, match="normal; got uniform ones"):
        training.second_moments(uniform, 2, key=key, stretches=(2.0,))
    with pytest.raises(ValueError, match=r"factors above 1, for loss='moments'; got \(0.5,\)"):
        training.TrainingConfig(loss="moments", stretches=(0.5,))
