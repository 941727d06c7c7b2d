"""No compiled model is further from its learner than its bound says, on any prompt.

Weights are multiplied in numpy: nothing waits for XLA, and the model's own runner is no witness.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop as il
from tests.compiler.cases import apply_mlp, matrix, prompt_of
from tests.compiler.limits import Limits
from tests.compiler.passes import dense_iterates


def networks():
    """Learners by family, each with the largest bound it may have after five steps, relative."""
    relu, tanh = apply_mlp, functools.partial(apply_mlp, activation=jnp.tanh)
    clipped = optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.05))
    return {
        "relu": (relu, optax.sgd(0.05), il.squared_error, 1e-11),
        "adam": (tanh, optax.adam(0.01, eps=1e-3), il.squared_error, 1e-3),
        "relu, lion": (relu, optax.lion(0.01), il.squared_error, 1e-8),
        "tanh": (tanh, optax.sgd(0.05), il.squared_error, 2e-5),
        "clipped": (relu, clipped, il.squared_error, 1e-4),
        "cross-entropy": (relu, optax.sgd(0.1), optax.softmax_cross_entropy, 2e-5),
    }


def case_of(name, rng, n=7):
    apply, rule, loss, most = networks()[name]
    layers = [(matrix(rng, 5, 3), 0.1 * rng.normal(size=5)), (matrix(rng, 2, 5), np.zeros(2))]
    x, y, xq = (rng.normal(size=shape) for shape in ((n, 3), (n, 2), (3, 3)))
    if name == "cross-entropy":
        y = np.eye(2)[np.argmax(y, axis=1)]
    return il.learner(apply, layers, optimizer=rule, loss=loss), il.Prompt(x, y, xq), most


@pytest.mark.parametrize("name", networks())
def test_bounds_are_no_empty_words(name, rng):
    """The certificate's figures: growing step by step, above what is measured, and useful."""
    learner, prompt, most = case_of(name, rng)
    model = il.certify(il.compile(learner, steps=5, like=prompt), learner, [prompt])
    certificate = model.certificate
    assert len(certificate.sample_bounds) == 6
    assert certificate.measured <= certificate.bound <= most
    assert certificate.bound <= 1.01 * max(certificate.sample_bounds)
    assert certificate.sample_bounds[0] < certificate.sample_bounds[-1]
    assert "proved for the sample prompt" in str(certificate)
    assert "proved likewise for each of 1 prompts" in str(certificate)


@pytest.mark.parametrize(("dtype", "most"), [("float64", 1e-11), ("float32", 1e-2)])
def test_rounding_is_that_of_the_weights_precision(dtype, most, rng):
    learner, prompt, _ = case_of("relu", rng)
    model = il.compile(learner, steps=3, like=prompt, dtype=dtype)
    certificate = il.certify(model, learner, [prompt]).certificate
    assert 0 < certificate.measured <= certificate.bound <= most


@pytest.mark.parametrize("name", ["tanh", "cross-entropy"])
def test_outside_the_domain_a_bound_is_large_and_holds(name, rng):
    learner, prompt, most = case_of(name, rng)
    model = il.compile(learner, steps=2, like=prompt)
    far = il.Prompt(8.0 * prompt.x, prompt.y, 8.0 * prompt.xq)
    certificate = il.certify(model, learner, [far]).certificate
    assert certificate.bound > 100 * most
    assert 1e-4 < certificate.measured <= certificate.bound


@pytest.mark.parametrize("kernel", ["relu", "exp", "rbf", "softmax"])
def test_heads_with_kernels(kernel, rng):
    rule = il.algorithms.functional_gradient_descent(0.1, kernel=il.Kernel(kernel))
    prompt = case_of("relu", rng)[1]
    model = il.compile(rule, steps=3, like=prompt)
    certificate = il.certify(model, rule, [prompt]).certificate
    assert certificate.measured <= certificate.bound <= 1e-11


WEIGHTS = {
    "query": lambda m: m.transformer.blocks.attention[0].W_Q,
    "value": lambda m: m.transformer.blocks.attention[0].W_V,
    "neurons in": lambda m: m.transformer.blocks.mlp.W_in,
    "neurons out": lambda m: m.transformer.blocks.mlp.W_out,
    "registers": lambda m: m.registers,
    "read-out": lambda m: m.unembed,
}


@pytest.mark.parametrize("where", WEIGHTS)
@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_a_weight_off_by_a_thousandth_breaks_the_bound(name, where, rng):
    """The twin: of eight weights that are not zero, those that this prompt uses are seen."""
    learner, prompt, _ = case_of(name, rng)
    model = il.compile(learner, steps=2, like=prompt)
    truth, limit = il.run(learner, prompt, steps=2), Limits(learner, model)(prompt)
    assert (np.abs(dense_iterates(model, prompt) - truth) <= limit).all()
    weights = np.array(WEIGHTS[where](model))
    places = np.argwhere(weights)
    seen = 0
    for place in map(tuple, places[:: max(1, len(places) // 8)]):
        changed = weights.copy()
        changed[place] += 1e-3
        faulty = eqx.tree_at(WEIGHTS[where], model, changed)
        seen += bool((np.abs(dense_iterates(faulty, prompt) - truth) > limit).any())
    assert seen >= 2


def test_certify_refuses_a_model_beyond_its_bound(rng):
    learner, prompt, _ = case_of("relu", rng)
    model = il.compile(learner, steps=2, like=prompt)
    faulty = eqx.tree_at(lambda m: m.unembed, model, model.unembed * 1.001)
    with pytest.raises(il.BoundExceeded, match=r"on prompt 0, after . steps, target . of query"):
        il.certify(faulty, learner, [prompt])


def test_certify_refuses_another_learner(rng):
    learner, prompt, _ = case_of("tanh", rng)
    model = il.compile(learner, steps=2, like=prompt)
    with pytest.raises(ValueError, match="compiled from another learner"):
        il.certify(model, case_of("relu", rng)[0], [prompt])
    other = il.learner(
        functools.partial(apply_mlp, activation=jax.nn.sigmoid),
        [(matrix(rng, 5, 3), np.zeros(5)), (matrix(rng, 2, 5), np.zeros(2))],
        optimizer=optax.sgd(0.05),
    )
    with pytest.raises(ValueError, match="compiled from another learner"):
        il.certify(model, other, [prompt])


def test_a_diverging_learner_has_no_bound(rng):
    """Nothing is proved, and nothing fails."""
    _, prompt, _ = case_of("relu", rng)
    learner = il.learner(
        lambda w, x: w @ x, np.ones((2, 3)), optimizer=optax.sgd(1e200), loss=il.squared_error
    )
    model = il.compile(learner, steps=3, like=prompt)
    assert len(model.certificate.sample_bounds) == 1
    assert "nothing is proved" in str(model.certificate)
    assert "infinity" not in str(model.certificate)
    certificate = il.certify(model, learner, [prompt]).certificate
    assert certificate.measured == certificate.bound == np.inf


def test_a_long_run_of_an_exact_model_says_how_far_its_bound_goes(rng):
    """Rounding is 1e-6; a bound carried through 150 steps is larger than the prediction."""
    learner, prompt, _ = case_of("relu", rng)
    model = il.compile(learner, steps=150, like=prompt, dtype="float32")
    certificate = il.certify(model, learner, [prompt]).certificate
    bounds = certificate.sample_bounds
    assert 5 < len(bounds) < 150 and bounds[-1] < 1.0 and certificate.vacuous
    text = str(certificate)
    assert text.startswith("exact: all")
    assert f"from step {len(bounds)} on, rounding could add up" in text
    assert "nothing is proved of all 1 prompts" in text and "measured, not proved" in text
    assert certificate.measured < 1e-4


@pytest.mark.parametrize("network", ["relu", "tanh"])
def test_adam_has_a_bound_on_other_prompts(network, rng):
    """Its second moments may vanish; a root that rounding made negative is not divided by."""
    apply = functools.partial(apply_mlp, activation=jnp.tanh) if network == "tanh" else apply_mlp
    sizes = ((5, 3), (7, 5), (2, 7))
    layers = [(matrix(rng, *size), 0.1 * rng.normal(size=size[0])) for size in sizes]
    prompts = [prompt_of(rng) for _ in range(24)]
    learner = il.learner(apply, layers, optimizer=optax.adam(1e-2))
    model = il.compile(learner, steps=2, like=prompts[:16])
    certificate = il.certify(model, learner, prompts[16:]).certificate
    assert certificate.measured <= certificate.bound <= 1e-3
    larger = [il.Prompt(p.x, 3.0 * p.y, p.xq) for p in prompts]
    assert all(model.check(prompt).outside == 0 for prompt in larger)


def test_what_gets_no_gradient_is_left_alone_by_adam():
    """A closed gate is closed to the last bit: Adam makes a step of any first moment but zero."""
    rng = np.random.default_rng(285)
    layers = {"in": rng.normal(size=(3, 3)) / 3**0.5, "out": rng.normal(size=(2, 3)) / 3**0.5}
    learner = il.learner(
        lambda w, x: w["out"] @ jax.nn.relu(x @ w["in"]),
        layers,
        optimizer=optax.adam(0.02),
        loss=lambda a, y: jnp.sum(optax.sigmoid_binary_cross_entropy(a, y)),
    )
    drawn = [[rng.normal(size=s) for s in ((1, 3), (1, 2), (2, 3))] for _ in range(2)]
    first, fresh = (il.Prompt(x, (y > 0).astype(float), xq) for x, y, xq in drawn)
    model = il.compile(learner, steps=3, like=first)
    limits, truth = Limits(learner, model)(fresh), il.run(learner, fresh, steps=3)
    untouched = (limits < 1e-12).all(axis=(0, 2))
    assert untouched.tolist() == [True, False]
    assert (np.abs(dense_iterates(model, fresh) - truth) <= limits).all()
