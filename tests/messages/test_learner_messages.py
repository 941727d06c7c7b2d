"""What a user reads whose learner cannot run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop as il
from innerloop import algorithms

PROMPT = il.Prompt(np.ones((5, 3)), np.ones((5, 2)), np.ones((7, 3)))


def learner(step=None, init=None, predict=None):
    """A learner that does nothing, with one of its parts replaced."""
    return il.Learner(
        init or (lambda x, y: (jnp.zeros((), x.dtype), ())),
        step or (lambda shared, local, x, y: (shared, local)),
        predict or (lambda shared, local, x: shared * x[:2]),
    )


def forever(shared, x):
    return jax.lax.while_loop(
        lambda v: v < 1, lambda v: v + jax.lax.pmean(x[0], il.CONTEXT), shared
    )


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (
            learner(step=lambda shared, local, x, y: (x[0], local)),
            r"shared state depends on a single token.*jax\.lax\.pmean\(value, il\.CONTEXT\)",
        ),
        (
            learner(init=lambda x, y: (x[0], ())),
            r"shared state depends on a single token.*return the value as local state",
        ),
        (
            learner(step=lambda shared, local, x, y: (il.attend(x, x, x)[0], local)),
            r"shared state depends on a single token",
        ),
        (
            learner(step=lambda shared, local, x, y: ((shared, shared), local)),
            r"`step` must return state of the structure it was given",
        ),
        (
            learner(step=lambda shared, local, x, y: (jnp.zeros(3, x.dtype), local)),
            r"the shared state was float64\[\] and became float64\[3\]",
        ),
        (
            learner(init=lambda x, y: (jnp.zeros((), jnp.int32), ()),
                    step=lambda shared, local, x, y: (jax.lax.pmean(x[0], il.CONTEXT), local)),
            r"shared state was int32\[\] and became float64\[\]. Create it in `init` with x\.dtype",
        ),
        (
            learner(init=lambda x, y: ((), {"label": y}), predict=lambda shared, local, x: x,
                    step=lambda shared, local, x, y: (shared, {"label": x})),
            r"the local state\['label'\] was float64\[2\] and became float64\[3\]",
        ),
        (
            learner(step=lambda shared, local, x, y: shared),
            r"`step` must return a pair \(shared, local\), with \(\) for the part",
        ),
        (
            learner(init=lambda x, y: jnp.zeros(2)),
            r"`init` must return a pair \(shared, local\)",
        ),
        (
            learner(predict=lambda shared, local, x: x[0]),
            r"`predict` must return a vector \(p,\).*shape \(\).*value\[None\]",
        ),
        (
            learner(step=lambda shared, local, x, y: (jax.lax.pmax(x[0], il.CONTEXT), local)),
            r"`pmax` over the context is not a collective of learners, which are jax\.lax\.pmean",
        ),
        (
            learner(predict=lambda shared, local, x: x * jax.lax.axis_index(il.CONTEXT)),
            r"`axis_index` over the context is not a collective",
        ),
        (
            learner(step=lambda shared, local, x, y: (
                jax.lax.fori_loop(0, 2, lambda _, s: jax.lax.pmax(x[0], il.CONTEXT), shared), local
            )),
            r"`pmax` over the context is not a collective",
        ),
        (
            learner(step=lambda shared, local, x, y: (forever(shared, x), local)),
            r"inside a `while`.*`fori_loop` with fixed bounds",
        ),
        (
            learner(step=lambda shared, local, x, y: (
                jax.lax.cond(shared > 0, lambda: jax.lax.pmean(x[0], il.CONTEXT), lambda: shared),
                local,
            )),
            r"inside a `cond`.*`jnp\.where`",
        ),
    ],
)  # fmt: skip
def test_a_learner_that_cannot_run_says_why(faulty, message):
    with pytest.raises(ValueError, match=message):
        il.run(faulty, PROMPT, steps=2)


def test_steps_are_not_negative():
    with pytest.raises(ValueError, match="steps must be at least 0; got -1"):
        il.run(learner(), PROMPT, steps=-1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kernel": np.ones((2, 3, 5))}, r"rank 0 to 2; the leaf at \['kernel'\].*\(2, 3, 5\)"),
        ([np.ones(2), np.arange(3)], r"floating-point.*the leaf at \[1\] is int64 of shape \(3,\)"),
        (np.ones((2, 3, 5)), r"the leaf at the root is float64 of shape \(2, 3, 5\)"),
    ],
)
def test_parameters_that_have_no_place_are_named(params, message):
    with pytest.raises(ValueError, match=message):
        il.learner(lambda w, x: x, params, optimizer=optax.sgd(0.1))


@pytest.mark.parametrize(
    ("query", "key", "value", "kernel", "message"),
    [
        ((3,), (2,), (2,), "linear", r"query and key of one size; got.*query \(3,\), key \(2,\)"),
        ((2, 3), (2, 3), (2,), "linear", r"takes vectors.*query \(2, 3\)"),
        ((3,), (3,), (), "linear", r"takes vectors.*value \(\)"),
        ((3,), (3,), (2,), "cosine", r"unknown kernel 'cosine'; the kernels are linear, relu, exp"),
        ((3,), (3,), (2,), "linear", r"called outside a learner.*`step` or `predict`"),
    ],
)
def test_attention_says_what_it_needs(query, key, value, kernel, message):
    with pytest.raises(ValueError, match=message):
        il.attend(jnp.ones(query), jnp.ones(key), jnp.ones(value), kernel=kernel)


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, float("nan")])
def test_a_bandwidth_is_positive(bandwidth):
    with pytest.raises(ValueError, match="bandwidth must be positive; got"):
        il.Kernel("rbf", bandwidth=bandwidth)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: algorithms.chebyshev(1.0, 0.5), r"0 < smallest < largest; got 1\.0 and 0\.5"),
        (lambda: algorithms.newton_schulz(0.0), r"first inverse must be positive; got 0\.0"),
        (lambda: algorithms.ridge(0.0, bound=1.0), r"Use a positive penalty and a positive bound"),
        (lambda: algorithms.ridge(0.1, bound=0.0), r"0 < smallest < largest on the spectrum"),
        (lambda: algorithms.ridge(0.1, bound=1.0, tolerance=1.0), r"tolerance must be between"),
        (lambda: algorithms.logistic_regression(-1.0, bound=1.0), r"Use a positive penalty"),
        (lambda: algorithms.recursive_least_squares(0.0), r"a positive penalty; got 0\.0"),
        (lambda: algorithms.nadaraya_watson(-0.5), r"bandwidth must be positive; got -0\.5"),
    ],
)
def test_an_algorithm_refuses_settings_that_cannot_work(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (
            algorithms.gradient_descent(0.1, weights=np.ones((3, 2))),
            r"weights must be \(p, d\) = \(2, 3\) for 3 covariates and 2 targets; got \(3, 2\)",
        ),
        (
            algorithms.logistic_regression(0.1, bound=1.0),
            r"takes one target in \{0, 1\}; this prompt has 2. Give each target a prompt",
        ),
    ],
)
def test_an_algorithm_refuses_prompts_that_it_cannot_learn_from(faulty, message):
    with pytest.raises(ValueError, match=message):
        il.run(faulty, PROMPT, steps=1)
