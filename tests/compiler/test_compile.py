"""A compiled model is the learner: at every step, at every query, to rounding."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop as il
from tests.compiler.cases import (
    ACTIVATIONS,
    CONTEXTS,
    JUMPS,
    LOSSES,
    NETWORKS,
    OPTIMIZERS,
    RATE,
    STEPS,
    apply_mlp,
    assert_same,
    learner_of,
    matrix,
    prompt_of,
    trained,
)
from tests.oracles import mlp

CASES = [
    (network, list(OPTIMIZERS)[(i + k + i // 3) % 6], steps, CONTEXTS[(2 * i + k + i // 3) % 4])
    for i, network in enumerate(NETWORKS)
    for k, steps in enumerate(STEPS)
]
"""Each network with every number of steps and of examples, and with four rules in turn."""


def test_the_cases_cover_every_pair():
    """All pairs but those of a network and a rule, of which the slow tier has the rest."""
    sizes = [len(NETWORKS), len(OPTIMIZERS), len(STEPS), len(CONTEXTS)]
    for a, b in ((0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
        assert len({(case[a], case[b]) for case in CASES}) == sizes[a] * sizes[b], (a, b)
    assert len({case[:2] for case in CASES}) == len(CASES)


@pytest.mark.parametrize(("network", "optimizer", "steps", "n"), CASES)
def test_compiled_is_run(network, optimizer, steps, n):
    learner, prompt, expected, layers = trained(network, optimizer, steps, n)
    model = il.compile(learner, steps=steps, like=prompt)
    assert model.depth == 2 * layers * steps + layers
    assert_same(model.iterates(prompt, dense=True), expected)


@pytest.mark.parametrize(
    ("network", "optimizer", "steps", "n"), [case for case in CASES if case[2] in (5, 50)][::2]
)
def test_float32_keeps_its_precision(network, optimizer, steps, n):
    learner, prompt, expected, _ = trained(network, optimizer, steps, n)
    model = il.compile(learner, steps=steps, like=prompt, dtype="float32")
    found = model.iterates(prompt)
    assert model.dtype == found.dtype == np.float32
    assert_same(found, expected, 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", CONTEXTS)
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_compiled_is_run_in_every_combination(network, optimizer, steps, n, dtype):
    learner, prompt, expected, _ = trained(network, optimizer, steps, n)
    model = il.compile(learner, steps=steps, like=prompt, dtype=dtype)
    assert_same(model.iterates(prompt), expected, {"float64": 1e-10, "float32": 1e-4}[dtype])


def test_compiled_is_the_loop_written_by_hand(rng):
    """A third meaning, beside `run`: numpy, with every derivative written out."""
    prompt, layers = prompt_of(rng), mlp.draw(rng, (3, 5, 7, 2))
    learner = il.learner(apply_mlp, layers, optimizer=optax.sgd(RATE, momentum=0.9))
    by_hand = mlp.train(
        layers, prompt.x, prompt.y, prompt.xq, steps=5, learning_rate=RATE, momentum=0.9
    )
    model = il.compile(learner, steps=5, like=prompt)
    assert_same(model.iterates(prompt), by_hand)
    assert_same(model.iterates(prompt, dense=True), by_hand)
    assert_same(model(prompt), by_hand[-1])


def test_no_step_at_all_is_the_network_itself(rng):
    prompt = prompt_of(rng)
    learner, layers = learner_of("mlp-3", "sgd", rng)
    model = il.compile(learner, steps=0, like=prompt)
    assert (model.depth, model.steps) == (layers, 0)
    assert_same(model.iterates(prompt), il.run(learner, prompt, steps=0))


@pytest.mark.parametrize(
    ("activation", "loss"), [(name, list(LOSSES)[k % 5]) for k, name in enumerate(ACTIVATIONS)]
)
def test_activations_and_losses_with_kinks(activation, loss, rng):
    prompt, layers = prompt_of(rng), mlp.draw(rng, (3, 7, 5, 2))

    def apply(params, x):
        return apply_mlp(params, x, ACTIVATIONS[activation])

    learner = il.learner(apply, layers, optimizer=optax.sgd(RATE, momentum=0.9), loss=LOSSES[loss])
    model = il.compile(learner, steps=5, like=prompt)
    tolerance = 1e-9 if loss in JUMPS else 1e-10
    assert_same(model.iterates(prompt), il.run(learner, prompt, steps=5), tolerance)


def scalars_and_vectors(rng):
    def apply(params, x):
        h = params["gain"] * jax.nn.relu(params["w"] @ x)
        return params["scale"] * h[:2] + params["shift"]

    return apply, {
        "gain": rng.normal(size=5),
        "w": matrix(rng, 5, 3),
        "scale": np.array(0.7),
        "shift": 0.1 * rng.normal(size=2),
    }


def nested(rng):
    def apply(params, x):
        (first, biases), second = params["layers"], params["out"]
        return second.T @ jax.nn.relu(first @ x + biases[0]) + biases[1]

    biases = [0.1 * rng.normal(size=7), 0.1 * rng.normal(size=2)]
    return apply, {"layers": (matrix(rng, 7, 3), biases), "out": matrix(rng, 7, 2)}


def flat(rng):
    def apply(params, x):
        first, second = params[:15].reshape(5, 3), params[15:25].reshape(2, 5)
        return second @ jax.nn.relu(first @ x) + params[25:]

    return apply, rng.normal(size=27) / 2


def one_matrix(rng):
    return (lambda w, x: w @ x), matrix(rng, 2, 3)


def row_vectors(rng):
    """Matrices of one row or one column are not vectors."""

    def apply(params, x):
        h = jax.nn.relu(x[None, :] @ params["in"] + params["bias"])
        return (h @ params["column"]).ravel()[0] * params["row"].ravel()

    return apply, {
        "in": matrix(rng, 3, 5),
        "bias": 0.1 * rng.normal(size=(1, 5)),
        "column": matrix(rng, 5, 1),
        "row": rng.normal(size=(1, 2)),
    }


def product_of_parameters(rng):
    def apply(params, x):
        return params["a"] @ (params["b"] @ params["c"]) @ x

    return apply, {"a": matrix(rng, 2, 5), "b": matrix(rng, 5, 7), "c": matrix(rng, 7, 3)}


def features(rng):
    """Products of covariates, and a product of two linear maps."""

    def apply(params, x):
        both = jnp.concatenate([x, x * x, x[:1] * x, jnp.ones(1)])
        return params["w"] @ both + (params["u"] @ x) * (params["v"] @ x)

    return apply, {
        "w": matrix(rng, 2, 10) / 2,
        "u": matrix(rng, 2, 3) / 2,
        "v": matrix(rng, 2, 3) / 2,
    }


@pytest.mark.parametrize(
    "network",
    [
        scalars_and_vectors,
        nested,
        flat,
        one_matrix,
        row_vectors,
        product_of_parameters,
        features,
    ],
    ids=lambda network: network.__name__,
)
def test_params_may_be_any_pytree(network, rng):
    prompt = prompt_of(rng)
    apply, params = network(rng)
    learner = il.learner(apply, params, optimizer=optax.sgd(RATE, momentum=0.9))
    model = il.compile(learner, steps=5, like=prompt)
    assert_same(model.iterates(prompt), il.run(learner, prompt, steps=5))


def test_a_mask_of_covariates_is_made_in_every_block(rng):
    """A step and the read-out ask the same of `x`; neither has the other's answer."""
    params = {"all": matrix(rng, 3, 3), "out": matrix(rng, 2, 3)}

    def apply(params, x):
        h = params["all"] @ x
        return params["out"] @ jnp.where(x > 0.1, h, h + 0.25)

    prompt = prompt_of(rng)
    learner = il.learner(apply, params, optimizer=optax.sgd(0.1))
    model = il.compile(learner, steps=2, like=prompt)
    assert_same(model.iterates(prompt), il.run(learner, prompt, steps=2))


@pytest.mark.parametrize("optimizer", ["momentum", "schedule"])
def test_weights_do_not_depend_on_the_sample_prompt(optimizer, rng):
    learner, _ = learner_of("mlp-3", optimizer, rng)
    few, many = prompt_of(rng, n=1, m=1), prompt_of(rng, n=64, m=17)
    models = [il.compile(learner, steps=5, like=prompt) for prompt in (few, many)]
    few, many = (replace(model, certificate=models[0].certificate) for model in models)
    assert eqx.tree_equal(few, many)
    assert models[0].transformer.order == models[1].transformer.order


def test_one_model_runs_at_any_number_of_examples_and_queries(rng):
    learner, _ = learner_of("residual", "momentum", rng)
    model = il.compile(learner, steps=5, like=prompt_of(rng, n=7, m=5))
    for n, m in ((1, 1), (101, 3)):
        prompt = prompt_of(rng, n=n, m=m)
        assert_same(model.iterates(prompt), il.run(learner, prompt, steps=5))


def most_live(model):
    """The largest number of coordinates whose contents are needed at once, block by block."""
    whole = sum(len(space.coordinates) for space in model.subspaces if not space.block)
    most = 0
    for block in {space.block for space in model.subspaces} - {""}:
        spaces = [space for space in model.subspaces if space.block == block]
        for time in range(1 + max(space.dies for space in spaces)):
            alive = [s for s in spaces if s.born <= time < max(s.dies, s.born + 1)]
            most = max(most, sum(len(space.coordinates) for space in alive))
    return whole + most


@pytest.mark.parametrize("network", NETWORKS)
def test_the_residual_stream_is_no_wider_than_what_is_alive(network, rng):
    prompt = prompt_of(rng)
    learner, _ = learner_of(network, "momentum", rng)
    widths = []
    for steps in (1, 50):
        model = il.compile(learner, steps=steps, like=prompt)
        widths.append(model.width)
        assert model.width <= 1.25 * most_live(model)
    assert widths[0] == widths[1]


def test_a_schedule_costs_the_same_width_at_any_length(rng):
    prompt = prompt_of(rng)
    learner, _ = learner_of("mlp-3", "schedule", rng)
    widths = [il.compile(learner, steps=k, like=prompt).width for k in (2, 3, 5, 50)]
    assert len(set(widths[1:])) == 1
    assert widths[0] <= widths[1], "through two points every schedule is a line"


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", ["mlp-1", "mlp-3", "mlp-6"])
def test_depth_is_that_of_the_network_whatever_the_rule(network, optimizer, rng):
    learner, layers = learner_of(network, optimizer, rng)
    model = il.compile(learner, steps=5, like=prompt_of(rng))
    assert model.depth == 2 * layers * 5 + layers
    assert (model.sections.init, model.sections.step, model.sections.read_out) == (
        0,
        2 * layers,
        layers,
    )
