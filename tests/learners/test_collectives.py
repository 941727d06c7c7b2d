"""What tokens say to one another: attention against tables, reductions in loops and wrappers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import innerloop as il
from innerloop import learners
from tests.oracles import kernels

KERNELS = ("linear", "relu", "exp", "rbf", "softmax")
BANDWIDTH = 0.7


@pytest.fixture
def prompt(rng):
    x, y, xq = (rng.uniform(-1, 1, size=shape) for shape in [(7, 5), (7, 2), (11, 5)])
    return il.Prompt(x, y, xq)


@pytest.fixture
def maps(rng):
    """What makes a query, a key and a value of a token: different, so that none can be mistaken."""
    return [rng.uniform(-0.5, 0.5, size=shape) for shape in [(3, 5), (3, 5), (5, 5)]]


def attention_stack(maps, kernel, *, mean):
    """A learner whose step is a residual attention layer on the covariates."""
    query, key, value = maps

    def step(shared, h, x, y):
        update = il.attend(query @ h, key @ h, value @ h, kernel=kernel, mean=mean)
        return shared, h + 0.02 * update

    return il.Learner(lambda x, y: ((), x), step, lambda shared, h, x: h[:2])


def attention_by_tables(maps, prompt, kernel, *, mean, steps, spy=False):
    """The same stack on arrays; with a spy, the first query is read like a context example."""
    query, key, value = maps
    context, queries = prompt.x, prompt.xq
    found = [queries[:, :2]]
    for _ in range(steps):
        read = np.vstack([context, queries[:1]]) if spy else context
        table = [
            kernels.matrix(h @ query.T, read @ key.T, kernel, BANDWIDTH) for h in (context, queries)
        ]
        scale = 0.02 / (prompt.n if mean and kernel != "softmax" else 1)
        context, queries = (
            h + scale * weights @ (read @ value.T)
            for h, weights in zip((context, queries), table, strict=True)
        )
        found.append(queries[:, :2])
    return np.stack(found)


@pytest.mark.parametrize(
    ("kernel", "mean"), [*((kernel, False) for kernel in KERNELS), ("exp", True), ("softmax", True)]
)
def test_attention_is_its_table_and_never_reads_a_query(kernel, mean, prompt, maps):
    """Five layers; with one a query that is read could not be told from one that is not."""
    learner = attention_stack(maps, il.Kernel(kernel, bandwidth=BANDWIDTH), mean=mean)
    found = il.run(learner, prompt, steps=5)
    expected = attention_by_tables(maps, prompt, kernel, mean=mean, steps=5)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    read = attention_by_tables(maps, prompt, kernel, mean=mean, steps=5, spy=True)
    assert not np.allclose(found[2], read[2], rtol=1e-5)


def test_mean_and_sum_differ_by_n(prompt, maps):
    total, mean = (
        il.run(attention_stack(maps, "relu", mean=mean), prompt, steps=1) for mean in (False, True)
    )
    np.testing.assert_allclose(total[1] - total[0], 7 * (mean[1] - mean[0]), rtol=1e-10)


@pytest.mark.parametrize("kernel", ["linear", "rbf", "softmax"])
def test_a_query_of_infinity_is_not_read(kernel, prompt, maps):
    """A weight of zero would not mask it: zero times infinity is not a number."""
    xq = prompt.xq.copy()
    xq[5] = np.inf
    learner = attention_stack(maps, kernel, mean=False)
    others = np.arange(11) != 5
    found = il.run(learner, il.Prompt(prompt.x, prompt.y, xq), steps=2)[:, others]
    np.testing.assert_array_equal(found, il.run(learner, prompt, steps=2)[:, others])


def summing(reduce):
    """A learner that predicts what `reduce(x)` leaves in the shared state."""

    def step(shared, local, x, y):
        return reduce(shared, x), local

    return il.Learner(lambda x, y: (jnp.zeros_like(x), ()), step, lambda shared, local, x: shared)


def test_sums_and_means_are_over_the_context(prompt):
    total = il.run(summing(lambda s, x: jax.lax.psum(x, il.CONTEXT)), prompt, steps=1)[1]
    mean = il.run(summing(lambda s, x: jax.lax.pmean(x, il.CONTEXT)), prompt, steps=1)[1]
    np.testing.assert_allclose(total, np.tile(prompt.x.sum(axis=0), (11, 1)), rtol=1e-12)
    np.testing.assert_allclose(mean, np.tile(prompt.x.mean(axis=0), (11, 1)), rtol=1e-12)


def test_a_constant_is_summed_n_times(prompt):
    """Constants are folded before any token runs: both ways of counting must agree."""
    literal = summing(lambda s, x: s + jax.lax.psum(1, il.CONTEXT))
    array = summing(lambda s, x: s + jax.lax.psum(jnp.ones((), x.dtype), il.CONTEXT))
    for learner in (literal, array):
        np.testing.assert_array_equal(il.run(learner, prompt, steps=1)[1], np.full((11, 5), 7.0))


def relaxed(prompt, sweeps, total):
    """`s <- s + 0.1 (x_i - s)`, summed or averaged over the context, some sweeps."""
    s = np.zeros(5)
    for _ in range(sweeps):
        s = s + 0.1 * (prompt.x - s).sum(axis=0) / (1 if total else prompt.n)
    return np.tile(s, (11, 1))


def sweep(reduce):
    return lambda s, x: s + 0.1 * reduce(x - s, il.CONTEXT)


@pytest.mark.parametrize("total", [True, False], ids=["psum", "pmean"])
@pytest.mark.parametrize("loop", ["fori_loop", "scan", "nested"])
def test_reductions_inside_loops(loop, total, prompt):
    relax = sweep(jax.lax.psum if total else jax.lax.pmean)

    def once(s, x):
        match loop:
            case "fori_loop":
                return jax.lax.fori_loop(0, 6, lambda _, s: relax(s, x), s)
            case "scan":
                rates = jnp.ones(6, x.dtype)
                return jax.lax.scan(lambda s, r: (s + r * (relax(s, x) - s), None), s, rates)[0]
            case "nested":
                inner = lambda _, s: jax.lax.fori_loop(0, 3, lambda _, s: relax(s, x), s)  # noqa: E731
                return jax.lax.fori_loop(0, 2, inner, s)

    found = il.run(summing(once), prompt, steps=2)
    np.testing.assert_allclose(found[1], relaxed(prompt, 6, total), rtol=1e-10)
    np.testing.assert_allclose(found[2], relaxed(prompt, 12, total), rtol=1e-10)


def test_a_query_read_inside_a_loop_is_seen(prompt, monkeypatch):
    """The deliberate fault of the test above."""
    honest = learners.data_tokens

    def with_a_spy(prompt):
        x, y, is_context = honest(prompt)
        return x, y, is_context | (np.arange(len(is_context)) == prompt.n)

    monkeypatch.setattr(learners, "data_tokens", with_a_spy)
    relax = sweep(jax.lax.pmean)
    looped = summing(lambda s, x: jax.lax.fori_loop(0, 6, lambda _, s: relax(s, x), s))
    found = il.run(looped, prompt, steps=1)[1]
    assert not np.allclose(found, relaxed(prompt, 6, total=False), rtol=1e-3)


def test_a_scan_runs_backwards_and_stacks(prompt):
    """The stacked outputs of a reversed scan whose body reduces."""

    def stacked(s, x):
        def body(carry, rate):
            carry = carry + rate * jax.lax.pmean(x, il.CONTEXT)
            return carry, carry[0]

        return jax.lax.scan(body, s, jnp.arange(5.0, dtype=x.dtype), reverse=True)[1]

    found = il.run(summing(stacked), prompt, steps=1)[1]
    sums = np.cumsum([4.0, 3.0, 2.0, 1.0, 0.0])[::-1] * prompt.x[:, 0].mean()
    np.testing.assert_allclose(found, np.tile(sums, (11, 1)), rtol=1e-10)


@jax.custom_jvp
def wrapped_jvp(x):
    return jax.lax.pmean(x, il.CONTEXT)


wrapped_jvp.defjvp(lambda primals, tangents: (wrapped_jvp(*primals), tangents[0]))


@jax.custom_vjp
def wrapped_vjp(x):
    return jax.lax.pmean(x, il.CONTEXT)


wrapped_vjp.defvjp(lambda x: (wrapped_vjp(x), None), lambda _, g: (g,))


@pytest.mark.parametrize(
    "wrapped",
    [
        jax.jit(lambda x: jax.lax.pmean(x, il.CONTEXT)),
        jax.checkpoint(lambda x: jax.lax.pmean(x, il.CONTEXT)),
        jax.jit(jax.checkpoint(lambda x: jax.lax.pmean(x, il.CONTEXT))),
        wrapped_jvp,
        wrapped_vjp,
    ],
    ids=["jit", "checkpoint", "both", "custom_jvp", "custom_vjp"],
)
def test_wrappers_are_looked_through(wrapped, prompt):
    found = il.run(summing(lambda s, x: wrapped(x)), prompt, steps=1)[1]
    np.testing.assert_allclose(found, np.tile(prompt.x.mean(axis=0), (11, 1)), rtol=1e-12)


def test_loops_and_branches_within_a_token_are_its_own(prompt):
    """Each token doubles its first covariate until it passes one: different counts of turns."""

    def doubled(x):
        start = jnp.abs(x[0]) + 0.1
        return jax.lax.while_loop(lambda v: v < 1, lambda v: 2 * v, start)

    learner = il.Learner(
        lambda x, y: ((), jnp.zeros_like(x[:1])),
        lambda shared, local, x, y: (shared, doubled(x)[None]),
        lambda shared, local, x: jax.lax.cond(x[0] > 0, lambda: local, lambda: -local),
    )
    start = np.abs(prompt.xq[:, 0]) + 0.1
    expected = start * 2 ** np.maximum(np.ceil(-np.log2(start)), 0)
    found = il.run(learner, prompt, steps=1)[1, :, 0]
    np.testing.assert_allclose(found, np.sign(prompt.xq[:, 0]) * expected, rtol=1e-12)
