"""Losses in closed form against samples, with the samples' own interval."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop import models, tasks, training
from innerloop.prompts import Prompt

MIXING = ((1.0, 0.3, 0.0), (0.0, 0.8, -0.2), (0.1, 0.0, 0.5))
SIZES = {"n": 5, "d": 3}
TASKS = {
    "uniform": tasks.LinearRegression(**SIZES, covariates=tasks.Covariates("uniform", 0.8)),
    "mixed_noisy": tasks.LinearRegression(
        **SIZES, covariates=tasks.Covariates("normal", 0.7, MIXING), noise=0.4
    ),
    "sphere": tasks.LinearRegression(**SIZES, covariates=tasks.Covariates("sphere", 1.5)),
    "teachers": tasks.LinearRegression(
        **SIZES, noise=0.2, teacher_mixing=MIXING, covariates=tasks.Covariates("laplace", 0.4)
    ),
}
PROMPTS = 100_000


def _model(heads, rng):
    model = models.SelfAttention(heads=heads, averages=True)(d=3, p=1, key=jax.random.key(0))
    return jax.tree.map(
        lambda a: jnp.asarray(rng.normal(size=a.shape)) * 0.4 if eqx.is_inexact_array(a) else a,
        model,
    )


@pytest.mark.parametrize(
    "name",
    [
        "uniform",
        "teachers",
        pytest.param("mixed_noisy", marks=pytest.mark.slow),
        pytest.param("sphere", marks=pytest.mark.slow),
    ],
)
def test_the_population_loss_is_the_mean_over_prompts(name, rng):
    task, model = TASKS[name], _model(2, rng)
    keys = jax.random.split(jax.random.key(11), PROMPTS)
    each = jax.jit(jax.vmap(lambda k: training.query_loss(model, task.sample(key=k))))(keys)
    error = float(each.std()) / np.sqrt(PROMPTS)
    exact = float(training.population_loss(model, task))
    assert abs(float(each.mean()) - exact) < 4 * error
    assert error < 0.02 * exact


@pytest.mark.parametrize("n", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_the_moments_of_gram_matrices_are_those_of_samples(n):
    task = dataclasses.replace(TASKS["mixed_noisy"], n=n, teacher_mixing=MIXING)
    second, squares, crossed, teachers = training.gram_moments(task)
    np.testing.assert_allclose(teachers, np.array(MIXING) @ np.array(MIXING).T)

    def one(key):
        teacher, prompt = jax.random.split(key)
        w = task.teacher(key=teacher)
        x, y, _ = jax.tree.leaves(task.taught(w, key=prompt).prompt)
        e = jnp.concatenate([x, y], axis=1)
        gram = e.T @ e
        return jnp.outer(gram, gram).ravel(), jnp.outer(gram, w).ravel()

    found = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(2), 40_000))
    for stated, values in zip((squares, crossed), map(np.asarray, found), strict=True):
        error = values.std(0) / np.sqrt(len(values))
        assert (np.abs(values.mean(0) - stated.ravel()) < 5.5 * error + 1e-12).all()


@pytest.mark.parametrize("n", [10, *(pytest.param(n, marks=pytest.mark.slow) for n in (5, 20))])
def test_the_least_population_loss_is_the_known_optimum(n):
    """`N / (N + d - 2 + kurtosis)`: the one-layer optimum for independent coordinates."""
    task, d = tasks.von_oswald(n=n), 10
    ratio = n / (n + d - 2 + 1.8)
    weights = np.diag([1.0] * d + [0.0])[None, None], np.diag([0.0] * d + [-1.0])[None, None]
    model = models.SelfAttention()(d=d, p=1, key=jax.random.key(0))
    attention = model.stages[0].blocks.attention[0]
    best = eqx.tree_at(
        lambda a: (a.W_Q, a.W_K, a.W_V, a.W_O),
        attention,
        tuple(map(jnp.asarray, (weights[0], weights[0], weights[1], -weights[1] * 12 * ratio / n))),
    )
    model = eqx.tree_at(lambda m: m.stages[0].blocks.attention[0], model, best)
    loss = training.population_loss(model, task)
    np.testing.assert_allclose(loss, 0.5 * d / 12 * (1 - ratio), rtol=1e-9)
    gradient = eqx.filter_grad(lambda m: training.population_loss(m, task))(model)
    slopes = jax.tree.leaves(eqx.filter(gradient, eqx.is_inexact_array))
    assert max(float(jnp.abs(s).max()) for s in slopes) < 1e-9


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(
            tasks.GaussianProcess(n=5, d=3, kernel=(tasks.Covariance("relu"),), noise=0.3),
            marks=pytest.mark.slow,
        ),
        tasks.LinearRegression(n=5, d=3, teacher_mixing=MIXING, noise=0.2),
    ],
    ids=["process", "linear"],
)
def test_the_expected_loss_is_the_mean_over_targets(task, rng):
    model = models.KernelHeads(depth=2, kernels=("linear", "relu"), init_scale=0.3)(
        d=3, p=1, key=jax.random.key(1)
    )
    keys = jax.random.split(jax.random.key(3), 20_000)

    @jax.jit
    @jax.vmap
    def both(key):
        sample = task.sample(key=key)
        return training.query_loss(model, sample), training.expected_loss(model, sample, task)

    sampled, expected = map(np.asarray, both(keys))
    difference = sampled - expected
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(len(difference))
    assert expected.std() < 0.7 * sampled.std()


def test_prefixes_are_all_asked_for():
    class Echo:
        def prefixes(self, prompt):
            return jnp.zeros((prompt.n + 1, 1))

    sample = tasks.Sample(Prompt([[1.0], [1.0]], [[1.0], [2.0]], [[1.0]]), jnp.array([[3.0]]))
    np.testing.assert_allclose(training.prefix_loss(Echo(), sample), 0.5 * (1 + 4 + 9) / 3)


def test_what_is_not_known_is_refused(rng):
    model = _model(1, rng)
    with pytest.raises(ValueError, match="one target; got TeacherPool with p = 1"):
        training.population_loss(model, tasks.TeacherPool(n=5, d=3))
    with pytest.raises(ValueError, match="one target and GaussianProcess; got Sine"):
        task = tasks.Sine(n=5)
        sample = task.sample(key=jax.random.key(0))
        training.expected_loss(model, sample, task)
