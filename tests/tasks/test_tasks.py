"""What each family promises beyond the laws: moments, teachers, pools, published quirks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop import tasks
from innerloop.tasks._draws import normal, uniform
from tests.tasks.registry import MIXING

FAMILIES = ("normal", "uniform", "sphere", "laplace")


def _samples(task, key, size=2000):
    return jax.jit(jax.vmap(lambda k: task.sample(key=k)))(jax.random.split(key, size))


def _one(task, key):
    return jax.jit(lambda key: task.sample(key=key).prompt)(key)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_numbers_are_uniform_and_normal(dtype, key):
    with jax.enable_x64(dtype == "float64"):
        u, z = uniform(key, (100_001,), -1.0, 3.0), normal(key, (100_001,))
        assert u.dtype == z.dtype == dtype
        u, z = np.asarray(u, np.float64), np.asarray(z, np.float64)
    assert u.min() >= -1.0 and u.max() < 3.0
    counts = np.histogram((u + 1) / 4, bins=50, range=(0, 1))[0]
    assert ((counts - u.size / 50) ** 2 / (u.size / 50)).sum() < 100
    for k, (moment, next_even) in enumerate(((0, 1), (1, 3), (0, 15), (3, 105)), 1):
        error = np.sqrt((next_even - moment**2) / z.size)
        assert abs((z**k).mean() - moment) < 4.5 * error, k
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.015


def test_another_generator_than_threefry_is_served_too():
    u = uniform(jax.random.key(0, impl="rbg"), (1000,), -1.0, 1.0)
    assert abs(float(u.mean())) < 0.1


@pytest.mark.parametrize("mixing", [None, MIXING], ids=["plain", "mixed"])
@pytest.mark.parametrize("family", FAMILIES)
def test_moments_of_covariates(family, mixing, key):
    covariates = tasks.Covariates(family, 0.7, mixing)
    second, fourth = covariates.moments(3)
    x = np.asarray(covariates.sample(60_000, 3, n=1, key=key))
    pairs = (x[:, :, None] * x[:, None, :]).reshape(-1, 9)
    for stated, power in ((second.ravel(), pairs), (fourth[0].ravel(), None)):
        values = power if power is not None else np.einsum("i,ib,ic,ie->ibce", x[:, 0], x, x, x)
        values = values.reshape(len(x), -1)
        sd = values.std(0) / np.sqrt(len(x))
        assert (np.abs(values.mean(0) - stated) < 5 * sd + 1e-9).all()


def test_moments_that_are_not_known_are_refused():
    for covariates in (
        tasks.Covariates("exponential"),
        tasks.Covariates("normal", unit_context=True),
    ):
        with pytest.raises(ValueError, match="Use the sampled loss"):
            covariates.moments(3)


def test_a_context_of_unit_norm():
    covariates = tasks.Covariates("laplace", 2.5, unit_context=True)
    x = covariates.sample(11, 3, n=7, key=jax.random.key(0))
    np.testing.assert_allclose(jnp.linalg.norm(x[:7]), 2.5)


def test_the_two_conventions_of_von_oswald(key):
    for convention, bound in (("code", 0.5), ("text", 1.0)):
        x = _samples(tasks.von_oswald(convention=convention), key).prompt.x
        assert 0.99 * bound < jnp.abs(x).max() <= bound


def test_teachers_have_the_covariance_asked_for(key):
    inverse = tasks.rotated((1.0, 4.0, 0.25), seed=5)
    task = tasks.LinearRegression(d=3, teacher_mixing=inverse, teacher_scale=2.0)
    weights = np.asarray(jax.vmap(lambda k: task.teacher(key=k))(jax.random.split(key, 50_000)))
    covariance = np.cov(weights[:, :, 0].T)
    np.testing.assert_allclose(np.sort(np.linalg.eigvalsh(covariance)), [1, 4, 16], rtol=0.05)


def test_a_pool_has_as_many_teachers_as_it_says(key):
    task = tasks.TeacherPool(n=5, d=3, size=4)
    prompts = _samples(task, key, 200).prompt
    found = np.linalg.pinv(np.asarray(prompts.x)) @ np.asarray(prompts.y)
    assert len(np.unique(np.round(found, 6), axis=0)) == 4


def test_with_a_large_pool_the_best_predictor_is_that_of_fresh_teachers(key):
    fresh = tasks.LinearRegression(n=2, d=2, noise=0.7)
    pool = tasks.TeacherPool(n=2, d=2, noise=0.7, size=20_000)
    prompt = _one(fresh, key)
    np.testing.assert_allclose(jax.jit(pool.bayes)(prompt), fresh.bayes(prompt), atol=0.05)


@pytest.mark.parametrize(("task", "correlation"), [(tasks.Sine, 0), (tasks.CorrelatedSine, 1)])
def test_amplitude_and_phase_of_sine_waves(task, correlation, key):
    """From `y(x) = a sin(x + p)` at two points, `a` and `p` are solved for."""
    x, y, _ = jax.tree.leaves(_samples(task(n=2), key).prompt)
    basis = np.concatenate([np.sin(x), np.cos(x)], -1)
    solved = np.linalg.solve(basis, np.asarray(y))[:, :, 0]
    phase = np.arctan2(solved[:, 1], solved[:, 0])
    amplitude = np.hypot(*solved.T)
    assert 0.1 <= amplitude.min() and amplitude.max() < 0.5
    assert abs(np.corrcoef(amplitude, phase)[0, 1] - correlation) < 0.06


def test_garg_s_network_has_targets_of_the_scale_of_linear_regression(key):
    y = _samples(tasks.NetworkTeacher(d=20, n=3, hidden=(100,)), key).yq
    np.testing.assert_allclose(float((y**2).mean()), 20.0, rtol=0.15)


def test_a_deep_teacher_is_the_network_written_out(key):
    task = tasks.NetworkTeacher(
        d=3, hidden=(5, 7), activation="tanh", normalised=False, weight_mean=0.5
    )
    weights = jax.jit(lambda key: task.teacher(key=key))(key)
    x = np.random.default_rng(0).normal(size=(4, 3))
    a, b, c = (np.asarray(w) for w in weights)
    np.testing.assert_allclose(task.apply(weights, jnp.asarray(x)), np.tanh(np.tanh(x @ a) @ b) @ c)


def test_a_tree_reads_signs_and_has_at_most_as_many_values_as_leaves(key):
    prompt = _one(tasks.DecisionTree(n=997, d=5, depth=3), key)
    signs, y = np.asarray(prompt.x) > 0, np.asarray(prompt.y)[:, 0]
    assert 2 < len(np.unique(y)) <= 8
    pattern = signs @ 2 ** np.arange(5)
    assert all(len(np.unique(y[pattern == one])) == 1 for one in np.unique(pattern))


def test_a_sparse_teacher_reads_few_covariates(key):
    prompt = _one(tasks.SparseLinear(n=11, d=7, nonzero=2), key)
    weights = np.linalg.lstsq(np.asarray(prompt.x), np.asarray(prompt.y))[0]
    assert (np.abs(weights) > 1e-6).sum() == 2


def test_shifts(key):
    task = tasks.von_oswald()
    plain = _samples(task, key, 3)
    scaled = _samples(tasks.scale_inputs(task, 3.0), key, 3)
    np.testing.assert_allclose(scaled.prompt.x, 3 * plain.prompt.x)
    np.testing.assert_allclose(scaled.yq, 3 * plain.yq)
    larger = _samples(tasks.ScaledTargets(task=task, alpha=3.0), key, 3)
    np.testing.assert_allclose(larger.prompt.x, plain.prompt.x)
    np.testing.assert_allclose(larger.prompt.y, 3 * plain.prompt.y)


def test_a_mixture_draws_from_all_its_tasks(key):
    parts = tuple(
        tasks.LinearRegression(n=5, d=3, covariates=tasks.Covariates("sphere", radius))
        for radius in (1.0, 2.0, 3.0)
    )
    radii = np.linalg.norm(_samples(tasks.Mixture(tasks=parts), key, 300).prompt.x[:, 0], axis=-1)
    assert (np.bincount(np.round(radii).astype(int), minlength=4)[1:] > 70).all()


def test_a_gaussian_process_never_gives_a_cpu_a_batch_of_matrices(key):
    """A program with two batches of them stands still on two cores."""
    task = tasks.GaussianProcess(n=6, d=2, kernel=(tasks.Covariance("relu"),))

    def both(key):
        sample = task.sample(key=key)
        return sample.yq, task.covariance_of(sample.prompt.x)

    def calls(program):
        text = jax.jit(program).lower(jax.random.split(key, 5)).compile().as_text()
        return [line for line in text.splitlines() if "lapack" in line and "custom-call(" in line]

    assert calls(jax.vmap(both))
    assert not any("[5," in line for line in calls(jax.vmap(both)))
    batched = jax.vmap(lambda key: jnp.linalg.eigh(jax.random.normal(key, (7, 7)))[0])
    assert any("[5," in line for line in calls(batched))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="must be positive; got 0"):
        tasks.Covariates(scale=0.0)
    with pytest.raises(ValueError, match="one covariate; got d = 2"):
        tasks.Sine(d=2)
    with pytest.raises(ValueError, match="between 1 and d = 4 weights; got 9"):
        tasks.SparseLinear(d=4, nonzero=9)
    with pytest.raises(ValueError, match="same \\(n, d, m, p\\)"):
        tasks.Mixture(tasks=(tasks.von_oswald(), tasks.von_oswald(n=3)))
    with pytest.raises(ValueError, match="at least one layer"):
        tasks.NetworkTeacher(hidden=())
    with pytest.raises(NotImplementedError, match="noise > 0"):
        task = tasks.SparseLinear(n=3, d=5)
        task.bayes(_one(task, jax.random.key(0)))
    with pytest.raises(ValueError, match="do not depend on the context's norm"):
        tasks.GaussianProcess(covariates=tasks.Covariates("sphere", unit_context=True))


def test_sizes_can_be_changed_by_replacing_them(key):
    task = dataclasses.replace(tasks.von_oswald(), n=3, m=5)
    assert _samples(task, key, 2).yq.shape == (2, 5, 1)
