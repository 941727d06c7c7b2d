"""Wu et al. (2024): gradient descent on deep networks inside a transformer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

import innerloop as il
from innerloop import constructions
from innerloop.constructions._construction import _tokens
from innerloop.constructions._deep_tokens import DeepTokens
from innerloop.constructions._hinges import interpolation_error
from innerloop.constructions._multiplication import Multiplication
from innerloop.models import Attention
from tests.oracles import deep_network

N = 6  # examples
RATE, BOX = 0.1, 1.2


def problem(depth, *, d=3, width=4, p=2, n=N, seed=0):
    """A network, and a prompt with targets its ReLU output can have."""
    rng = np.random.default_rng([depth, d, p, seed])
    weights = deep_network.draw(rng, depth, d=d, width=width, p=p)
    x, xq = rng.normal(size=(n, d)), rng.normal(size=(3, d))
    return weights, il.Prompt(x, np.abs(rng.normal(size=(n, p))), xq)


def expected(weights, prompt, steps, *, rate=RATE, box=BOX, output=None):
    """Predictions after gradient descent, and the margin of all ReLUs on the way."""
    path = deep_network.descend(weights, prompt.x, prompt.y, rate, steps, box, output=output)
    queries = deep_network.forward(path[-1], prompt.xq, output=output)[1][-1]
    before = deep_network.forward(path[0], prompt.xq, output=output)[1][-1]
    assert np.abs(queries - before).max() > 1e-3, "the network must learn something"
    return queries, deep_network.margin(path, prompt.x, output=output)


def as_printed(weights, steps, *, margin=1e-5, output=None, **settings):
    settings = {"examples": N, "learning_rate": RATE, "box": BOX, **settings}
    return constructions.deep_gradient_descent(
        weights,
        steps=steps,
        activation=constructions.relu(margin),
        output=None if output is None else constructions.NO_ACTIVATION,
        **settings,
    )


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("depth", [2, 3, 4, 6])
def test_theorem_1_as_printed(depth, steps):
    weights, prompt = problem(depth)
    truth, margin = expected(weights, prompt, steps)
    assert margin > 1e-5
    model = as_printed(weights, steps)
    np.testing.assert_allclose(model(prompt), truth, rtol=0, atol=1e-9)
    assert model.sublayers == model.depth == (2 * depth + 4) * steps + depth
    units, numbers = sum(len(v) for v in weights), sum(v.size for v in weights)
    assert model.width == 3 + 2 * 2 + numbers + 3 * units + 2


@pytest.mark.parametrize(("d", "p"), [(2, 5), (5, 1)])
def test_theorem_4_other_sizes_in_and_out(d, p):
    weights, prompt = problem(3, d=d, p=p)
    truth, _ = expected(weights, prompt, 2)
    np.testing.assert_allclose(as_printed(weights, 2)(prompt), truth, rtol=0, atol=1e-9)


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
def test_a_linear_output(depth):
    weights, prompt = problem(depth)
    weights[-1][0] *= -1  # a ReLU would cut this output off
    truth, _ = expected(weights, prompt, 2, output="none")
    found = as_printed(weights, 2, output="none")(prompt)
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-9)
    assert np.abs(as_printed(weights, 2)(prompt) - truth).max() > 1e-3


def test_the_box_is_met():
    weights, prompt = problem(3)
    for box in (0.5, 10.0):
        clipped = [np.clip(v, -box, box) for v in weights]
        truth, _ = expected(clipped, prompt, 2, box=box)
        found = as_printed(clipped, 2, box=box)(prompt)
        np.testing.assert_allclose(found, truth, rtol=0, atol=1e-9)
    free, _ = expected([np.clip(v, -0.5, 0.5) for v in weights], prompt, 2, box=10.0)
    tight, _ = expected([np.clip(v, -0.5, 0.5) for v in weights], prompt, 2, box=0.5)
    assert np.abs(free - tight).max() > 1e-3


def after_steps(model, prompt, depth):
    """All tokens after the last gradient step, before the layers that predict."""
    order = model.transformer.order
    steps = dataclasses.replace(model.transformer, order=order[: len(order) - depth])
    tokens, roles = _tokens(model, il.Prompt(prompt.x, prompt.y, prompt.xq[:1]))
    return np.asarray(steps(tokens, roles, len(tokens)))


def test_after_a_step_tokens_are_as_before_with_other_weights():
    weights, prompt = problem(3)
    model = as_printed(weights, 2)
    start, _ = _tokens(model, il.Prompt(prompt.x, prompt.y, prompt.xq[:1]))
    end = after_steps(model, prompt, 3)
    size = sum(v.size for v in weights)
    path = deep_network.descend(weights, prompt.x, prompt.y, RATE, 2, BOX)
    learned = np.concatenate([v.ravel() for v in path[-1]])
    np.testing.assert_allclose(end[:, 5 : 5 + size], np.tile(learned, (N + 1, 1)), atol=1e-12)
    rest = np.r_[0:5, 5 + size : model.width]
    np.testing.assert_array_equal(end[:, rest], np.asarray(start)[:, rest])


@pytest.mark.parametrize("other", [2, 11])
def test_another_number_of_examples_is_another_step_size(other):
    """`eta n' (n+1) / (n (n'+1))`: weights know `n`."""
    weights, prompt = problem(3, n=other)
    rate = RATE * other * (N + 1) / (N * (other + 1))
    found = as_printed(weights, 2)(prompt)
    truth, _ = expected(weights, prompt, 2, rate=rate)
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-9)
    assert np.abs(expected(weights, prompt, 2)[0] - found).max() > 1e-6


@pytest.mark.parametrize("depth", [2, 3])
def test_multiplications_are_two_relu_heads_with_position_codes(depth):
    weights, prompt = problem(depth)
    plain = as_printed(weights, 2)
    lowered = as_printed(weights, 2, products="positions", largest_score=100.0)
    assert [type(a) for a in lowered.transformer.blocks.attention] == [Attention]
    assert Multiplication in [type(a) for a in plain.transformer.blocks.attention]
    assert lowered.depth == plain.depth
    np.testing.assert_allclose(lowered(prompt), plain(prompt), rtol=0, atol=1e-10)
    weak = as_printed(weights, 2, products="positions", largest_score=1e-3)
    assert np.abs(weak(prompt) - plain(prompt)).max() > 1e-6


def standard(weights, steps, *, sharpness=1e4, **settings):
    settings = {"examples": N, "learning_rate": RATE, "box": BOX, **settings}
    return constructions.deep_standard(weights, steps=steps, sharpness=sharpness, **settings)


@pytest.mark.parametrize("output", [None, "none"])
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("depth", [2, 3, 4, 6])
def test_standard_relu_attention(depth, steps, output):
    weights, prompt = problem(depth)
    truth, _ = expected(weights, prompt, steps, output=output)
    model = standard(weights, steps, linear_output=output is not None)
    np.testing.assert_allclose(model(prompt), truth, rtol=0, atol=1e-9)
    assert model.sublayers == (2 * depth + 2) * steps + depth
    assert model.depth == (2 * depth + 1) * steps + depth
    units, numbers = sum(len(v) for v in weights), sum(v.size for v in weights)
    assert model.width == 3 + 2 + numbers + 2 * units + 2
    assert [type(a) for a in model.transformer.blocks.attention] == [Attention]


@pytest.mark.parametrize("output", [None, "none"])
@pytest.mark.parametrize("depth", [2, 3, 4, 6])
def test_errors_computed_early_save_a_block_a_step(depth, output):
    weights, prompt = problem(depth)
    weights[-1][0] *= 1 if output is None else -1  # a ReLU would cut this output off
    truth, _ = expected(weights, prompt, 5, output=output)
    model = standard(weights, 5, linear_output=output is not None, early=True)
    np.testing.assert_allclose(model(prompt), truth, rtol=0, atol=1e-9)
    assert model.depth == 2 * depth * 5 + depth


def test_gates_that_are_too_soft_are_seen():
    weights, prompt = problem(3)
    truth, _ = expected(weights, prompt, 2)
    assert np.abs(standard(weights, 2, sharpness=1.0)(prompt) - truth).max() > 1e-4


def softmax(weights, steps, beta, sink, **settings):
    settings = {"learning_rate": RATE, "box": BOX, "sharpness": 1e4, **settings}
    return constructions.deep_softmax(weights, steps=steps, beta=beta, sink=sink, **settings)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("depth", [2, 3, 4, 6])
def test_softmax_with_slope_two(depth, steps):
    weights, prompt = problem(depth)
    truth, _ = expected(weights, prompt, steps)
    errors = [
        np.abs(softmax(weights, steps, beta, sink)(prompt) - truth).max()
        for beta, sink in ((1e-2, 25.0), (1e-3, 30.0), (1e-4, 33.0))
    ]
    assert errors[-1] < 1e-6
    slopes = np.diff(np.log10(errors))
    np.testing.assert_allclose(slopes, -2.0, atol=0.5)
    model = softmax(weights, steps, 1e-3, 30.0)
    assert model.depth == (2 * depth + 1) * steps + depth


def test_softmax_needs_its_sink():
    weights, prompt = problem(3)
    truth, _ = expected(weights, prompt, 2)
    strong, weak = (
        np.abs(softmax(weights, 2, 1e-3, sink)(prompt) - truth).max() for sink in (30.0, 3.0)
    )
    assert weak > 100 * strong


def smooth(weights, intervals, radius=4.0, steps=1, rate=1.0):
    return constructions.deep_gradient_descent(
        weights, examples=N, steps=steps, learning_rate=rate, box=50.0,
        activation=constructions.sigmoid(radius, intervals),
    )  # fmt: skip


def smoothness_at(intervals, radius=4.0):
    """`r'` has a second derivative of at most 1/8."""
    return constructions.sigmoid_smoothness(
        interpolation_error(constructions.SIGMOID_CURVATURE, radius, intervals),
        interpolation_error(0.125, radius, intervals),
    )


def carried_weights(model, prompt, weights):
    flat = model.stream(prompt)[0, prompt.d + prompt.p :]
    return flat[: sum(v.size for v in weights)]


def flat(matrices):
    return np.concatenate([m.ravel() for m in matrices])


def smooth_problem(depth, intervals):
    """A sigmoid network, a prompt, and both bounds on a step through `intervals` hinges."""
    weights, prompt = problem(depth)
    weights = [v / 1.5 for v in weights]
    residual = deep_network.forward(weights, prompt.x, "sigmoid")[1][-1] - prompt.y
    known = smoothness_at(intervals)
    ours = constructions.step_errors(
        weights,
        known,
        inputs=np.linalg.norm(prompt.x, axis=1).max(),
        residual=2 * np.linalg.norm(residual, axis=1).max() + 0.1,
        slope=2.0,
    )
    printed = constructions.printed_errors(
        known,
        depth=depth,
        width=4,
        growth=4.0,
        row_bound=max(np.linalg.norm(v, axis=1).max() for v in weights),
        residual=2 * np.abs(residual).max() + 0.1,
        slope=2.0,
    )
    return weights, prompt, ours, printed


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_lemmas_2_to_6_layer_by_layer(depth):
    """Every slot of the scratch, before it is erased, against what backpropagation says."""
    weights, prompt, ours, printed = smooth_problem(depth, 12)
    model = smooth(weights, 12)
    before_update = dataclasses.replace(model.transformer, order=tuple(range(2 * depth + 2)))
    tokens, roles = _tokens(model, il.Prompt(prompt.x, prompt.y, prompt.xq[:1]))
    stream = np.asarray(before_update(tokens, roles, len(tokens)))[:N]
    held = DeepTokens(weights, "prs", g=2, t=1)
    a, p = deep_network.forward(weights, prompt.x, "sigmoid")
    slopes = [expit(v) * expit(-v) for v in a]
    u = 2 * (p[-1] - prompt.y)
    s = [slopes[-1] * u]
    for j in range(depth - 1, 0, -1):
        s.insert(0, slopes[j - 1] * (s[0] @ weights[j]))

    def largest(found, truth, by_norm):
        wrong = found - truth
        return (np.linalg.norm(wrong, axis=1) if by_norm else np.abs(wrong)).max()

    for j in range(1, depth + 1):
        forward = largest(stream @ held.at("p", j).T, p[j], True)
        assert 0 < forward <= ours.forward[j - 1] <= printed.forward[j - 1]
        slope = largest(stream @ held.at("r", j).T, slopes[j - 1], False)
        assert 0 < slope <= ours.slopes[j - 1] <= printed.slopes[j - 1]
        backward = stream @ held.at("s", j).T
        assert 0 < largest(backward, s[j - 1], True) <= ours.backward[j - 1]
        assert largest(backward, s[j - 1], False) <= printed.backward[j - 1]
    assert largest(stream @ held.slots.g.T, u, True) <= ours.loss
    assert largest(stream @ held.slots.g.T, u, False) <= printed.loss


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_theorem_1_within_both_bounds_with_slope_two(depth):
    """Measured <= recursion by norms <= what the paper states, with `P = max(K, d)`."""
    errors, counts = [], (8, 16, 32, 64)
    for intervals in counts:
        weights, prompt, ours, printed = smooth_problem(depth, intervals)
        exact = flat(deep_network.gradient(weights, prompt.x, prompt.y, "sigmoid"))
        found = flat(weights) - carried_weights(smooth(weights, intervals), prompt, weights)
        errors.append(np.linalg.norm(found - exact))
        assert errors[-1] <= ours.gradient <= printed.gradient
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert -2.4 < slope < -1.7


def test_corollary_1_1_along_the_path():
    weights, prompt = problem(2, width=3)
    weights = [v / 1.5 for v in weights]
    shapes = [v.shape for v in weights]

    def loss(w):
        p, start = jnp.asarray(prompt.x), 0
        for a, b in shapes:
            p = jax.nn.sigmoid(p @ w[start : start + a * b].reshape(a, b).T)
            start += a * b
        return jnp.sum((p - prompt.y) ** 2) / (2 * prompt.n)

    hessian = jax.jit(lambda w: jnp.linalg.norm(jax.hessian(loss)(w), 2))
    gradient = jax.jit(jax.grad(loss))
    truth = deep_network.descend(weights, prompt.x, prompt.y, 1.0, 5, 50.0, "sigmoid")
    path = [flat(w) for w in truth]
    found = [flat(weights)]
    for steps in range(1, 6):
        found.append(carried_weights(smooth(weights, 16, steps=steps), prompt, weights))
    one_step = [
        np.linalg.norm(before - np.asarray(gradient(before)) - after)
        for before, after in zip(found, found[1:], strict=False)
    ]
    largest = 1.1 * max(float(hessian(w)) for w in (*path, *found))
    for steps in range(1, 6):
        error = np.linalg.norm(found[steps] - path[steps])
        settings = {"smoothness": largest, "learning_rate": 1.0, "steps": steps}
        tight = constructions.trajectory_bound(max(one_step), **settings)
        printed = constructions.trajectory_bound(max(one_step), **settings, printed=True)
        assert 0 < error <= tight * (1 + 1e-9) < printed
        assert error > tight / 20


@pytest.mark.parametrize("hidden", ["relu", "sigmoid"])
def test_lemma_1_is_the_gradient(hidden):
    for depth in (2, 3, 4, 6):
        weights, prompt = problem(depth)

        def loss(matrices, prompt=prompt):
            p = jnp.asarray(prompt.x)
            for v in matrices:
                p = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}[hidden](p @ v.T)
            return jnp.sum((p - prompt.y) ** 2) / (2 * prompt.n)

        truth = jax.grad(loss)([jnp.asarray(v) for v in weights])
        found = deep_network.gradient(weights, prompt.x, prompt.y, hidden)
        for a, b in zip(found, truth, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_sigmoids_interpolated_are_sigmoids():
    t = np.linspace(-4, 4, 1001)
    activation = constructions.sigmoid(4.0, 64)
    assert np.abs(activation.value(t) - expit(t)).max() < 2e-4
    assert np.abs(activation.derivative(t) - expit(t) * expit(-t)).max() < 3e-4


def test_multiplication_layers_by_loops(rng):
    """`h_i + sum_m <Q_m h_i, K_m h_i> V_m h_i`, whatever a token's role."""
    tokens, (q, k, v) = rng.normal(size=(5, 7)), rng.normal(size=(3, 2, 3, 7))
    out, flags = rng.normal(size=(2, 7, 3)), np.zeros((2, 3), bool)
    layer = Multiplication(q, k, v, out, np.zeros(2, bool), flags, flags)
    found = layer(jnp.asarray(tokens), np.array([0, 0, 1, 1, 2]), 2)
    for i, h in enumerate(tokens):
        expected = sum((q[m] @ h) @ (k[m] @ h) * (out[m] @ v[m] @ h) for m in range(2))
        np.testing.assert_allclose(found[i], expected, rtol=1e-12)
