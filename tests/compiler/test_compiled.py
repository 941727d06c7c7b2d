"""What a compiled model offers: runs, iterates, reports, names for its coordinates and parts."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop as il
from innerloop.compiler import RunWarning
from tests.compiler.cases import (
    apply_mlp,
    assert_same,
    assert_seen,
    learner_of,
    matrix,
    prompt_of,
    trained,
)


@pytest.fixture(scope="module")
def two_layers():
    """A two-layer network under momentum, its prompt, and its predictions."""
    learner, prompt, expected, _ = trained("mlp-2", "momentum", 5, 7)
    return il.compile(learner, steps=5, like=prompt), prompt, expected


def test_a_call_is_the_last_iterate(two_layers):
    model, prompt, expected = two_layers
    found = model(prompt)
    assert isinstance(found, np.ndarray) and found.dtype == np.float64
    np.testing.assert_allclose(found, model.iterates(prompt)[-1], rtol=1e-14)
    assert_same(found, expected[-1])


def test_shapes_are_those_of_the_prompt(two_layers):
    model, _, _ = two_layers
    assert (model.d, model.p, model.steps, model.dtype) == (3, 2, 5, "float64")
    assert model.depth == 22
    assert model.width == model.embed.shape[0] == model.unembed.shape[1]


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_queries_together_are_queries_one_by_one(steps, rng):
    learner, _ = learner_of("mlp-3", "momentum", rng)
    prompt = prompt_of(rng, n=7, m=5)
    model = il.compile(learner, steps=steps, like=prompt)
    together = model.iterates(prompt)
    for i, query in enumerate(prompt.xq):
        company = il.Prompt(prompt.x, prompt.y, np.tile(query, (5, 1)))
        np.testing.assert_allclose(model.iterates(company)[:, 0], together[:, i], rtol=1e-10)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("content", [1e6, -1e-300, np.inf, np.nan])
def test_what_a_query_holds_is_nobody_elses_business(content, dense, two_layers):
    model, prompt, _ = two_layers
    xq = prompt.xq.copy()
    xq[2] = content
    others = np.arange(prompt.m) != 2
    found = model.iterates(il.Prompt(prompt.x, prompt.y, xq), dense=dense)
    honest = model.iterates(prompt, dense=dense)
    np.testing.assert_array_equal(found[:, others], honest[:, others])


def test_the_order_of_the_context_does_not_matter(two_layers, rng):
    model, prompt, _ = two_layers
    order = rng.permutation(prompt.n)
    shuffled = il.Prompt(prompt.x[order], prompt.y[order], prompt.xq)
    np.testing.assert_allclose(model(shuffled), model(prompt), rtol=1e-10)
    assert_seen(model(il.Prompt(prompt.x[order], prompt.y, prompt.xq)), model(prompt))


def test_jit_and_vmap_give_the_same(two_layers):
    model, prompt, expected = two_layers

    def predict(x, y, xq):
        return model(il.Prompt(x, y, xq))

    arrays = [jnp.asarray(a) for a in (prompt.x, prompt.y, prompt.xq)]
    assert_same(np.asarray(jax.jit(predict)(*arrays)), expected[-1])
    stacked = [jnp.stack([a, a]) for a in arrays]
    assert_same(np.asarray(jax.vmap(predict)(*stacked))[1], expected[-1])


def test_jax_arrays_give_jax_arrays(two_layers):
    model, prompt, expected = two_layers
    arrays = il.Prompt(*(jnp.asarray(a) for a in (prompt.x, prompt.y, prompt.xq)))
    assert isinstance(model(arrays), jax.Array)
    assert_same(np.asarray(model.iterates(arrays)), expected)


def test_float64_needs_no_switch_of_the_callers(two_layers):
    model, prompt, expected = two_layers
    with jax.enable_x64(False):
        found = model.iterates(prompt)
    assert found.dtype == np.float64
    assert_same(found, expected)


def through_a_kink(rng, *, at):
    """A network of one relu whose input is `at` for one of the examples."""
    prompt = prompt_of(rng, n=7)
    w = matrix(rng, 5, 3)
    bias = 0.3 * rng.normal(size=5)
    bias[2] = at - w[2] @ prompt.x[4]
    layers = [(w, bias), (matrix(rng, 2, 5), np.zeros(2))]
    return il.learner(apply_mlp, layers, optimizer=optax.sgd(0.01)), prompt


def test_a_pre_activation_inside_a_ramp_is_reported(rng):
    learner, prompt = through_a_kink(rng, at=5e-13)
    model = il.compile(learner, steps=1, like=prompt)
    report = model.check(prompt)
    assert (report.ramp_hits, report.ok, report.finite) == (1, False, True)
    assert "1 pre-activation" in str(report) and "ramp" in str(report)
    with pytest.warns(RunWarning, match="ramp"):
        model(prompt)


@pytest.mark.parametrize("at", [-1e-9, 1e-9, 0.1])
def test_beside_the_ramp_there_is_nothing_to_report(at, rng):
    learner, prompt = through_a_kink(rng, at=at)
    model = il.compile(learner, steps=1, like=prompt)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(prompt)
    assert model.check(prompt).ok


def test_at_the_jump_itself_there_is_no_error(rng):
    """Dead inputs are common: their pre-activations are exactly zero, and so is relu' there."""
    prompt, layers = (
        prompt_of(rng, n=7),
        [(np.zeros((5, 3)), np.zeros(5)), (matrix(rng, 2, 5), np.zeros(2))],
    )
    learner = il.learner(apply_mlp, layers, optimizer=optax.sgd(0.1))
    model = il.compile(learner, steps=3, like=prompt)
    assert model.check(prompt).ok
    np.testing.assert_allclose(model.iterates(prompt), il.run(learner, prompt, steps=3), atol=1e-14)


def test_a_diverging_run_is_reported(rng):
    learner = il.learner(lambda w, x: w @ x, matrix(rng, 2, 3), optimizer=optax.sgd(1e200))
    prompt = prompt_of(rng)
    model = il.compile(learner, steps=5, like=prompt)
    report = model.check(prompt)
    assert not report.ok and not report.finite
    assert "not finite" in str(report)


def test_every_coordinate_has_a_name(two_layers):
    model, _, _ = two_layers
    names = model.residual_stream
    assert {"one", "x", "y", "name", "params.0.0", "params.1.1"} <= set(names)
    assert len(names["x"]) == 3 and len(names["y"]) == 2 and len(names["params.0.0"]) == 3
    assert {k for places in names.values() for k in places} == set(range(model.width))


def test_what_lasts_has_coordinates_of_its_own(two_layers):
    model, _, _ = two_layers
    lasting = [space for space in model.subspaces if not space.block]
    places = [k for space in lasting for k in space.coordinates]
    assert len(places) == len(set(places))
    for space in model.subspaces:
        assert not space.block or not set(space.coordinates) & set(places)


def test_the_anatomy_has_a_row_for_every_part(two_layers):
    model, _, _ = two_layers
    rows = model.anatomy().rows
    bank = model.transformer.blocks
    layers = {"step": model.sections.step, "read-out": model.sections.read_out}
    assert {row.block for row in rows} == set(layers)
    for block, depth in layers.items():
        assert {row.layer for row in rows if row.block == block} == set(range(1, depth + 1))
    heads = {(row.block, row.layer): 0 for row in rows}
    for row in rows:
        heads[row.block, row.layer] += row.kind == "head"
        assert row.computes and row.writes and row.size > 0
    assert max(heads.values()) == bank.attention[0].W_Q.shape[1]
    named = {space.name for space in model.subspaces}
    assert {name for row in rows for name in (*row.reads, *row.writes)} <= named


def test_the_anatomy_names_the_users_lines(two_layers):
    model, _, _ = two_layers
    text = str(model.anatomy())
    assert "cases.py" in text and "weights @ x + bias" in text
    assert text.splitlines()[0].split()[:4] == ["block", "layer", "kind", "size"]


def test_the_certificate_says_what_is_exact(two_layers):
    model, _, _ = two_layers
    certificate = model.certificate
    assert certificate.exact and not certificate.approximations
    assert certificate.gates >= 1 and certificate.dtype == "float64"
    assert "operations are, up to float64 rounding" in str(certificate)
    assert "1e-12" in str(certificate)


def test_several_prompts_widen_the_domain(rng):
    """Targets ten times as large leave the domain of a small sample, unless it holds such a one."""

    def apply(w, x):
        return jnp.tanh(w @ x)

    small = prompt_of(rng, n=11)
    large = il.Prompt(10.0 * small.x, 10.0 * small.y, 10.0 * small.xq)
    learner = il.learner(apply, rng.normal(size=(2, 3)), optimizer=optax.sgd(0.03))
    narrow = il.compile(learner, steps=2, like=small)
    wide = il.compile(learner, steps=2, like=[small, large])
    assert narrow.check(large).outside > 0
    assert wide.check(small).ok and wide.check(large).ok
    for prompt in (small, large):
        np.testing.assert_allclose(
            wide.iterates(prompt), il.run(learner, prompt, steps=2), atol=1e-4
        )


def test_no_sample_at_all_is_refused(rng):
    learner = il.learner(lambda w, x: w @ x, np.zeros((2, 3)), optimizer=optax.sgd(0.03))
    with pytest.raises(ValueError, match="like must hold at least one prompt"):
        il.compile(learner, steps=1, like=[])
