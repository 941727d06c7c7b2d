"""Passes that make a model shallower: what each is worth in layers, and the same predictions."""

from contextlib import ExitStack
from unittest import mock

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import innerloop as il
from benchmarks.passes import DEPTH, PASSES
from innerloop.compiler import copies, gated_heads
from innerloop.compiler.expansion import Expansion
from innerloop.compiler.forms import Atom, Form
from innerloop.compiler.functions import Function, Piecewise
from innerloop.compiler.graph import Apply, Flags, Head, Product
from tests.compiler.cases import RATE, apply_mlp, assert_same, assert_seen, matrix, prompt_of
from tests.compiler.test_functions import RELU
from tests.oracles import mlp

FLAGS = Flags(1)
X, Y = Atom("x", "data", 1), Atom("y", "data", 1)
HAT = Piecewise((-1.0, 0.0, 1.0), (0.0, 1.0, -1.0, 0.0), (0.0, 1.0, 1.0, 0.0), (0.0, 1.0, 0.0))
VEE = Piecewise((0.5,), (-2.0, 3.0), (1.0, -1.5), (0.0,))


def network():
    """A two-layer network: its output's weights are read forward and backward."""
    params = mlp.draw(np.random.default_rng(0), (3, 5, 2))
    return il.learner(apply_mlp, params, optimizer=optax.sgd(RATE))


def boxed():
    """A network with a ReLU at its output, and weights that stay in a box."""
    rng = np.random.default_rng(1)
    params = [matrix(rng, 5, 3) + 0.3, matrix(rng, 2, 5) + 0.3]

    def project(updates, weights):
        return jax.tree.map(lambda g, w: jnp.clip(w - RATE * g, -0.8, 0.8) - w, updates, weights)

    def forward(weights, x):
        for w in weights:
            x = jnp.maximum(w @ x, 0.0)
        return x

    return il.learner(forward, params, optimizer=optax.stateless(project))


def by_position():
    """Stochastic gradient descent in the order of positions, which are the last covariate."""

    def init(x, y):
        return (jnp.zeros((len(y), len(x) - 1), x.dtype), jnp.ones((), x.dtype)), ()

    def step(shared, local, x, y):
        weights, turn = shared
        is_turn = jnp.maximum(0.0, 1.0 - jnp.abs(x[-1] - turn))
        covariates, target = jax.lax.psum((is_turn * x[:-1], is_turn * y), il.CONTEXT)
        slope = jnp.outer(weights @ covariates - target, covariates)
        return (weights - 0.1 * slope, turn + 1.0), local

    return il.Learner(init, step, lambda shared, local, x: shared[0] @ x[:-1])


LEARNERS = {
    "two-layer network": (network, {"optimize": "depth"}),
    "example by example": (by_position, {"optimize": "depth"}),
    "ReLU output": (boxed, {"optimize": "depth", "attention": "relu"}),
}
LAYERS = {
    ("two-layer network", "all passes"): (1, 2, 0),
    ("two-layer network", "without: steps begin ahead"): (0, 3, 1),
    ("two-layer network", "without: small matrices are copied"): (1, 3, 1),
    ("example by example", "all passes"): (1, 1, 1),
    ("example by example", "without: products take functions in"): (2, 2, 1),
    ("example by example", "without: schedules that are lines are folded"): (2, 2, 1),
    ("example by example", "without: steps begin ahead"): (0, 2, 1),
    ("ReLU output", "all passes"): (0, 4, 2),
    ("ReLU output", "without: gates are opened by heads"): (0, 5, 2),
}
"""Layers before the first step, of a step, and of the read-out."""


def compiled(name, switch, steps, prompt):
    """A learner compiled without one of the passes."""
    make, options = LEARNERS[name]
    with ExitStack() as stack:
        for where, what, instead in {**PASSES, **DEPTH}[switch]:
            stack.enter_context(mock.patch.object(where, what, instead))
        return il.compile(make(), steps=steps, like=prompt, **options)


def sample(name):
    """A prompt; the positions of `example by example` are its last covariate."""
    prompt = prompt_of(np.random.default_rng(3))
    if name != "example by example":
        return il.Prompt(prompt.x, np.abs(prompt.y), prompt.xq)
    x, xq = prompt.x.copy(), prompt.xq.copy()
    x[:, -1], xq[:, -1] = np.arange(1.0, prompt.n + 1), 0.0
    return il.Prompt(x, prompt.y, xq)


@pytest.mark.parametrize(("name", "switch"), LAYERS)
def test_what_a_pass_is_worth(name, switch):
    prompt = sample(name)
    model = compiled(name, switch, 3, prompt)
    sections = model.sections
    assert (sections.init, sections.step, sections.read_out) == LAYERS[name, switch]


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize(
    "steps", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(5, marks=pytest.mark.slow)]
)
def test_shallow_models_are_exact(name, steps):
    prompt = sample(name)
    model = compiled(name, "all passes", steps, prompt)
    expected = il.run(LEARNERS[name][0](), prompt, steps=steps)
    assert_same(model.iterates(prompt, dense=steps == 2)[1:], expected[1:])


def test_a_copy_that_is_not_updated_is_seen_at_the_second_step():
    """The deliberate fault: tokens go on multiplying with the first weights."""
    prompt = sample("two-layer network")

    def stale(atom, made, height, programs):
        del height, programs
        return Form.of(made[atom]), []

    with mock.patch.object(copies, "_followed", stale):
        found = compiled("two-layer network", "all passes", 2, prompt).iterates(prompt)
    expected = il.run(network(), prompt, steps=2)
    assert_same(found[:1], expected[:1])
    assert_seen(found, expected)


def test_a_gate_that_does_not_close_is_seen():
    """The deliberate fault: what a closed gate keeps out is no larger than rounding."""
    prompt = sample("ReLU output")
    with mock.patch.object(gated_heads, "_MOST", 1e-30):
        found = compiled("ReLU output", "all passes", 2, prompt).iterates(prompt)
    assert_seen(found, il.run(boxed(), prompt, steps=2))


def test_a_schedule_that_is_a_line_takes_no_neurons():
    prompt = sample("two-layer network")
    rows = {}
    for name, rate in {"line": lambda k: 0.1 - 0.01 * k, "curve": lambda k: 0.1 / (1 + k)}.items():
        learner = il.learner(lambda w, x: w @ x, np.zeros((2, 3)), optimizer=optax.sgd(rate))
        model = il.compile(learner, steps=5, like=prompt)
        rows[name] = "schedule" in str(model.anatomy())
        found, expected = model.iterates(prompt), il.run(learner, prompt, steps=5)
        assert_same(found[1:], expected[1:], 1e-7)
    assert rows == {"line": False, "curve": True}


@pytest.mark.parametrize("pieces", [RELU, RELU.after_affine(-1.0, 2.0), HAT, VEE])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_product_with_a_function_is_one_half_layer(pieces, side, rng):
    f, p = Atom("f", "data", 1), Atom("p", "data", 1)
    pair = (Form.of(f).scaled(1.5), Form.of(Y))
    product = Product(p, *(pair if side == "left" else pair[::-1]))
    made = Expansion(FLAGS, 1e-12, 1e-6, 2.0**-52, fuses=True).expand(
        [Apply(f, Form.of(X), Function.exact(pieces)), product]
    )
    neurons = [n for n in made if n.out is p]
    assert {atom for n in neurons for form in n.reads for atom in form.terms} <= {X, Y, FLAGS.one}
    x, y = rng.normal(size=(2, 50))
    values = {X: x, Y: y, FLAGS.one: np.ones(50)}

    def read(form):
        return sum(w.toarray() * values[atom] for atom, w in form.terms.items())

    found = sum(
        n.weights.toarray() @ (np.maximum(read(n.gate), 0.0) * read(n.value)) for n in neurons
    )
    np.testing.assert_allclose(found[0], 1.5 * pieces(x) * y, rtol=1e-12, atol=1e-13)


def test_a_product_that_waits_for_its_other_factor_reads_the_function():
    """With a factor from attention in the next layer, the function is there in time."""
    f, g, h, p = (Atom(name, "data", 1) for name in "fghp")
    one = FLAGS.constant("data", [1.0])
    operations = [
        Apply(f, Form.of(X), Function.exact(RELU)),
        Apply(g, Form.of(X), Function.exact(HAT)),
        Head(h, one, Form.of(g), one),
        Product(p, Form.of(f), Form.of(h)),
    ]
    made = Expansion(FLAGS, 1e-12, 1e-6, 2.0**-52, fuses=True).expand(operations)
    (product,) = (neurons for neurons in made if neurons.out is p)
    assert {atom for form in product.reads for atom in form.terms} == {f, h}


def test_the_same_learner_becomes_the_same_weights(rng):
    """Copies, and what they are updated by, stand in an order that no address decides."""
    prompt = il.Prompt(*(rng.normal(size=s) for s in ((7, 3), (7, 2), (5, 3))))
    shapes = {"in": (5, 3), "one": (5, 5), "back": (5, 5), "out": (2, 5)}
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}

    def residual(params, x):
        h = params["in"] @ x
        return params["out"] @ (h + params["back"] @ jax.nn.relu(params["one"] @ h))

    learner = il.learner(residual, weights, optimizer=optax.sgd(0.05, momentum=0.9))
    first, *others = (il.compile(learner, steps=2, like=prompt, optimize="depth") for _ in range(6))
    assert all(eqx.tree_equal(first, other) for other in others)
