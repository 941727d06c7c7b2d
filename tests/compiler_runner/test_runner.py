"""The specialised runner is the dense transformer, to rounding: for what is compiled, and for any
weights at all.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop as il
from innerloop.compiler.emulation import Softmax
from innerloop.compiler.runner.runner import _RUNNERS as RUNNERS
from innerloop.compiler.runner.sparse import UNDERSTOOD, not_understood
from tests.compiler.cases import NETWORKS, OPTIMIZERS, apply_mlp, learner_of, prompt_of
from tests.compiler_runner.random_models import KERNELS, perturbed, scrambled
from tests.oracles import mlp
from tests.registries import ALGORITHMS

pytestmark = pytest.mark.filterwarnings("ignore::innerloop.compiler.RunWarning")
EXACT = {"float64": 1e-12, "float32": 2e-5}


def runner(model):
    """The runner that the model uses by default."""
    found = model._runner()
    assert found is not None, "the model would run dense"
    return found


def assert_runs_alike(model, prompt, tolerance=1e-12):
    """Predictions and iterates are those of the dense weights."""
    runner(model)
    every = model.iterates(prompt, dense=True)
    for found, expected in ((model(prompt), every[-1]), (model.iterates(prompt), every)):
        assert found.shape == expected.shape and found.dtype == expected.dtype
        assert np.isfinite(expected).all() and np.abs(expected).max() > 0.0
        assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def cases():
    """Each network, with the rules, sizes and precisions in turn."""
    rules = list(OPTIMIZERS)
    for i, network in enumerate(NETWORKS):
        yield network, rules[i % 6], (1, 7, 64)[i % 3], (1, 5)[i % 2], list(EXACT)[i // 3 % 2]
    for rule in ("sgd", "momentum", "sign"):
        yield "mlp-2", rule, 7, 5, "float32"


@pytest.mark.parametrize(("network", "optimizer", "n", "m", "dtype"), list(cases()))
def test_networks(network, optimizer, n, m, dtype, rng):
    prompt = prompt_of(rng, n=n, m=m)
    learner, _ = learner_of(network, optimizer, rng)
    model = il.compile(learner, steps=3, like=prompt, dtype=dtype)
    assert_runs_alike(model, prompt, EXACT[dtype])


def algorithms():
    """Every algorithm but k-means, whose ties are decided by rounding; in CI a few of a kind."""
    quick = ("gradient_descent", "newton_schulz", "kernel_ridge", "nadaraya_watson")
    for name, make, family in ALGORITHMS:
        if "k_means" not in name:
            few = name in quick or name.startswith("functional")
            yield pytest.param(make, family, id=name, marks=() if few else pytest.mark.slow)


@pytest.mark.parametrize(("make", "family"), list(algorithms()))
def test_algorithms(make, family, rng):
    prompt = family(rng)
    assert_runs_alike(il.compile(make(), steps=2, like=prompt), prompt, 1e-11)


@pytest.mark.parametrize("steps", [0, 1])
def test_few_steps(steps, rng):
    prompt = prompt_of(rng)
    learner, _ = learner_of("mlp-2", "momentum", rng)
    assert_runs_alike(il.compile(learner, steps=steps, like=prompt), prompt)


def test_products_of_parameters(rng):
    prompt = prompt_of(rng)
    params = {"u": rng.normal(size=(2, 3)) / 2, "v": rng.normal(size=(2, 3)) / 2}
    learner = il.learner(
        lambda w, x: (w["u"] @ x) * jnp.tanh(w["v"] @ x), params, optimizer=optax.sgd(0.1)
    )
    assert_runs_alike(il.compile(learner, steps=3, like=prompt), prompt)


def test_an_optimizer_with_splines(rng):
    prompt = prompt_of(rng)
    learner = il.learner(
        apply_mlp, mlp.draw(rng, (3, 5, 2)), optimizer=optax.adam(1e-2), loss=il.squared_error
    )
    assert_runs_alike(il.compile(learner, steps=3, like=prompt), prompt, 1e-7)


@pytest.mark.parametrize(("density", "n"), [(0.1, 1), (0.1, 7), (0.5, 7), (1.0, 7)])
def test_weights_without_meaning(density, n, rng):
    """The runner follows the weights, whoever wrote them, and whatever is zero in them."""
    prompt = prompt_of(rng, n=n, m=3)
    learner, _ = learner_of("mlp-1", "momentum", rng)
    model = il.compile(learner, steps=2, like=prompt)
    assert_runs_alike(scrambled(model, rng, density=density, scale=0.2), prompt, 1e-11)


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_without_meaning(kernel, rng):
    prompt = prompt_of(rng, n=7, m=3)
    learner = il.algorithms.functional_gradient_descent(0.5, kernel=il.Kernel(kernel, 0.7))
    model = il.compile(learner, steps=2, like=prompt)
    assert_runs_alike(scrambled(model, rng, density=0.5, scale=0.3), prompt, 1e-11)


ATTENTIONS = [
    (Softmax(), "mlp-1", 7),
    pytest.param("relu", "mlp-2", 7, marks=pytest.mark.slow),
    pytest.param(Softmax(beta=1e-3), "mlp-2", 1, marks=pytest.mark.slow),
    pytest.param(Softmax(order=4), "mlp-2", 64, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("attention", "network", "n"), ATTENTIONS, ids=str)
def test_other_kinds_of_attention(attention, network, n, rng):
    """Softmax weights are multiplied by `e^c / 2 b`, and their rounding with them."""
    prompt = prompt_of(rng, n=n)
    learner, _ = learner_of(network, "sgd", rng)
    model = il.compile(learner, steps=2, like=prompt, attention=attention)
    assert_runs_alike(model, prompt, 1e-10)


def test_a_sink_without_meaning(rng):
    prompt = prompt_of(rng, n=7, m=3)
    learner, _ = learner_of("mlp-1", "sgd", rng)
    model = il.compile(learner, steps=1, like=prompt, attention="softmax")
    assert_runs_alike(scrambled(model, rng, density=1.0, scale=0.2), prompt, 1e-11)


@pytest.mark.parametrize("activation", ["relu", "reglu"])
def test_weights_with_a_few_faults(activation, rng):
    """A fault in a weight is run as it stands, not as it was meant."""
    prompt = prompt_of(rng)
    learner, _ = learner_of("mlp-1", "momentum", rng)
    model = il.compile(learner, steps=3, like=prompt)
    wrong = perturbed(model, rng)
    if activation == "relu":
        wrong = with_activation(wrong, "relu")
    assert_runs_alike(wrong, prompt, 1e-11)
    assert np.abs(wrong(prompt) - model(prompt)).max() > 1e-6


def with_activation(model, activation):
    """The same weights with the gate's taken away."""
    bank = model.transformer.blocks.mlp
    plain = type(bank)(bank.W_in, bank.b_in, bank.W_out, bank.b_out, activation=activation)
    return eqx.tree_at(lambda m: m.transformer.blocks.mlp, model, plain)


def test_counts_are_those_of_the_dense_run(rng):
    """Counts of what reaches a prediction: here of the context, whose gates make the gradient."""
    prompt = prompt_of(rng, n=64, m=1)
    learner, _ = learner_of("mlp-2", "sgd", rng)
    model = il.compile(learner, steps=3, like=prompt)
    wide = eqx.tree_at(lambda m: (m.ramps.high,), model, (model.ramps.high * 1e12,))
    found, expected = wide.check(prompt), wide.check(prompt, dense=True)
    assert found.ramp_hits > 0
    assert 0 <= expected.ramp_hits - found.ramp_hits <= 3 * 5, "queries have gates of their own"


@pytest.fixture(scope="module")
def compiled():
    """A model, the learner it was compiled from, and a prompt."""
    rng = np.random.default_rng(5)
    prompt = prompt_of(rng)
    learner, _ = learner_of("mlp-2", "momentum", rng)
    return il.compile(learner, steps=3, like=prompt), learner, prompt


def test_gradients(compiled):
    model, _, prompt = compiled
    gradient = jax.grad(lambda x: jnp.sum(model(il.Prompt(x, prompt.y, prompt.xq)) ** 2))
    dense = jax.grad(lambda x: jnp.sum(model(il.Prompt(x, prompt.y, prompt.xq), dense=True) ** 2))
    x = jnp.asarray(prompt.x)
    assert np.abs(gradient(x) - dense(x)).max() < 1e-11 * np.abs(dense(x)).max()


TRANSFORMS = {
    "jit": jax.jit,
    "filter_jit": eqx.filter_jit,
    "jit of jit": lambda model: jax.jit(jax.jit(model)),
    "filter_jit of an argument": lambda model: functools.partial(
        eqx.filter_jit(lambda model, prompt: model(prompt)), model
    ),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_model_is_an_ordinary_function(transform, compiled):
    model, _, prompt = compiled
    assert np.abs(transform(model)(prompt) - model(prompt)).max() < 1e-12


@pytest.mark.parametrize("transform", [jax.vmap, eqx.filter_vmap])
def test_a_model_takes_many_prompts(transform, compiled):
    model, _, prompt = compiled
    prompts = jax.tree.map(lambda leaf: jnp.stack([leaf, 0.5 * leaf]), prompt)
    for found in (transform(model)(prompts), jax.jit(jax.vmap(model))(prompts)):
        for number, scale in enumerate((1.0, 0.5)):
            one = jax.tree.map(lambda leaf, scale=scale: scale * leaf, prompt)
            assert np.abs(found[number] - model(one)).max() < 1e-12


def test_a_model_is_equal_to_itself_only(compiled):
    """Weights are arrays, which have no hash; comparing them is `eqx.tree_equal`."""
    model, _, _ = compiled
    twin = jax.tree.map(np.array, model)
    assert eqx.tree_equal(model, twin) and model != twin and len({model, model, twin}) == 2


def test_neurons_of_another_kind_run_dense(compiled):
    """What the runner does not know it leaves to the dense weights, whole."""
    model, _, prompt = compiled
    smooth = with_activation(model, "gelu")
    assert smooth._runner() is None
    assert (smooth(prompt) == smooth(prompt, dense=True)).all()
    assert np.abs(smooth(prompt) - model(prompt)).max() > 1e-6


def test_the_runner_knows_every_field_of_a_model():
    """A new field in `innerloop.models` must be taught to `innerloop.compiler.runner` too."""
    assert not not_understood(), "every model would run dense"


@pytest.mark.parametrize("kind", UNDERSTOOD, ids=lambda kind: kind.__name__)
def test_an_unknown_field_is_named_and_runs_dense(kind, rng, monkeypatch):
    missing = sorted(UNDERSTOOD[kind])[-1]
    monkeypatch.setitem(UNDERSTOOD, kind, UNDERSTOOD[kind] - {missing})
    assert not_understood() == {f"{kind.__name__}.{missing}"}
    learner, _ = learner_of("mlp-1", "sgd", rng)
    assert il.compile(learner, steps=1, like=prompt_of(rng))._runner() is None


def test_no_queries(compiled):
    model, _, prompt = compiled
    assert model(il.Prompt(prompt.x, prompt.y, prompt.xq[:0])).shape == (0, 2)


def test_a_runner_is_made_once_and_goes_with_its_model(rng):
    prompt = prompt_of(rng)
    learner, _ = learner_of("mlp-1", "sgd", rng)
    model = il.compile(learner, steps=1, like=prompt)
    assert runner(model) is runner(model)
    before = len(RUNNERS)
    del model
    assert len(RUNNERS) == before - 1


def test_another_prompt_of_the_same_size_is_not_traced_again(compiled, rng):
    model, _, prompt = compiled
    model(prompt)
    run = runner(model).predictions
    before = run._cache_size()
    model(prompt_of(rng, n=prompt.n, m=prompt.m))
    assert run._cache_size() == before


def test_weights_of_a_model_that_has_run_are_read_only(compiled):
    model, _, prompt = compiled
    model(prompt)
    with pytest.raises(ValueError, match="read-only"):
        model.unembed[0, 0] = 1.0


def test_queries_do_no_work_before_the_read_out(compiled):
    """What the plan is for: no coordinate of a query is needed during training but its input."""
    model, _, _ = compiled
    for layer in runner(model)._plan.step:
        assert not layer.middle[1][model.d + model.p + 1 :].any()
