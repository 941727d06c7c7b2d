"""Models that are trained: equal to their formulas, to each other where they meet, and causal."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop import constructions, models
from innerloop.algorithms import preconditioned_gradient_descent
from innerloop.kernels import Kernel
from innerloop.learners import run
from innerloop.models.in_context import alternating, sinusoids
from innerloop.models.transformer import block_at
from innerloop.prompts import Prompt

N, M, D, P = 7, 3, 5, 2
ARCHITECTURES = {
    "linear": models.SelfAttention(),
    "two_heads": models.SelfAttention(depth=2, heads=2, averages=True),
    "tied": models.SelfAttention(depth=3, tied=True, damping=0.75),
    "clipped": models.SelfAttention(depth=3, clip=1.0),
    "softmax": models.SelfAttention(depth=2, kernel="softmax"),
    "relu": models.SelfAttention(kernel="relu"),
    "exp": models.SelfAttention(kernel="exp", clip=10.0),
    "neurons": models.SelfAttention(depth=2, mlp=2, layer_norm=True),
    "blocks": models.SelfAttention(depth=2, heads=2, mlp=2, clip=1.0),
    "damped_blocks": models.SelfAttention(depth=2, mlp=2, damping=0.5),
    "embedded": models.SelfAttention(width=11),
    "features": models.SelfAttention(width=6, features=3),
    "alternating": models.SelfAttention(
        depth=2, kernel=("softmax", "linear"), tokens="alternating", positions=6
    ),
    "preconditioned": models.Preconditioned(depth=3, transforms_covariates=True),
    "kernel_heads": models.KernelHeads(depth=2, kernels=("linear", "exp", "softmax")),
    "gpt2": models.GPT2(depth=2, heads=2, width=8, positions=31),
}
HEAD = ("W_Q", "W_K", "W_V", "W_O")
VARIANTS = (
    "two_heads",
    "tied",
    "clipped",
    "relu",
    "exp",
    "embedded",
    "features",
    "blocks",
    "damped_blocks",
)
everyone = pytest.mark.parametrize(
    "name",
    [pytest.param(k, marks=[pytest.mark.slow] * (k in VARIANTS)) for k in ARCHITECTURES],
)


def _prompt(rng, n=N, m=M):
    return Prompt(*(jnp.asarray(rng.normal(size=s)) for s in ((n, D), (n, P), (m, D))))


def _model(architecture, rng, scale=0.4):
    """A model with weights large enough to matter."""
    model = architecture(d=D, p=P, key=jax.random.key(0))

    def drawn(leaf):
        if eqx.is_inexact_array(leaf):
            return jnp.asarray(scale * rng.normal(size=leaf.shape))
        return leaf

    return jax.tree.map(drawn, model)


@everyone
def test_queries_do_not_see_each_other_and_every_weight_has_a_gradient(name, rng):
    model, prompt = _model(ARCHITECTURES[name], rng), _prompt(rng)

    @eqx.filter_jit
    @functools.partial(eqx.filter_value_and_grad, has_aux=True)
    def answer(model, prompt):
        predictions = model(prompt)
        return (predictions**2).sum(), predictions

    (_, predictions), gradient = answer(model, prompt)
    assert predictions.shape == (M, P) and float(jnp.abs(predictions).max()) > 1e-3
    others = Prompt(prompt.x, prompt.y, prompt.xq.at[1:].add(1.0))
    np.testing.assert_allclose(predictions[0], answer(model, others)[0][1][0], rtol=1e-10)
    leaves = jax.tree.leaves(eqx.filter(gradient, eqx.is_inexact_array))
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in leaves)
    assert all(float(jnp.abs(leaf).max()) > 0 for leaf in leaves)


@pytest.mark.parametrize("n", [3, 7, 13])
@pytest.mark.parametrize(
    "name", ["linear", "two_heads", "tied", "clipped", "blocks", "damped_blocks"]
)
def test_linear_layers_the_short_way_are_linear_layers(name, n, rng):
    model, prompt = _model(ARCHITECTURES[name], rng), _prompt(rng, n)
    slowly = dataclasses.replace(model, fast=False)
    np.testing.assert_allclose(model(prompt), slowly(prompt), rtol=1e-9, atol=1e-12)


def test_a_single_layer_is_a_bilinear_form_of_the_gram_matrix(rng):
    model = _model(models.SelfAttention(heads=2, averages=True, damping=0.5), rng)
    prompt = _prompt(rng)
    context = jnp.concatenate([prompt.x, prompt.y], axis=1)
    form = models.bilinear(model, prompt.n)
    read = jnp.einsum("abec,ab,me->mc", form, context.T @ context, prompt.xq)
    np.testing.assert_allclose(model(prompt), read, rtol=1e-10)


def test_what_is_no_single_linear_layer_has_no_bilinear_form(rng):
    with pytest.raises(ValueError, match="one layer of linear attention"):
        models.bilinear(_model(models.SelfAttention(depth=2), rng), N)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_weights_of_proposition_1_make_every_layer_take_a_step(depth, rng):
    """The class that is trained holds the construction's weights, at any depth."""
    rate, prompt = 0.8, _prompt(rng)
    model = _model(models.SelfAttention(depth=depth, tied=True, averages=True), rng)
    x, y = np.diag([1.0] * D + [0.0] * P), np.diag([0.0] * D + [1.0] * P)
    weights = [w[None, None] for w in (x, x, -y, rate * y)]
    model = eqx.tree_at(
        lambda m: [getattr(m.stages[0].blocks.attention[0], w) for w in HEAD],
        model,
        [jnp.asarray(w) for w in weights],
    )
    by_hand = constructions.gradient_descent(d=D, p=P, steps=depth, learning_rate=rate)
    np.testing.assert_allclose(model(prompt), by_hand(prompt), rtol=1e-10)


def test_softmax_scores_are_divided_by_the_root_of_the_key_size(rng):
    model = _model(models.SelfAttention(kernel="softmax"), rng)
    prompt = _prompt(rng, m=1)
    q, k, v, o = (np.asarray(getattr(model.stages[0].blocks.attention[0], w))[0, 0] for w in HEAD)
    context = np.concatenate([prompt.x, prompt.y], axis=1)
    query = np.concatenate([prompt.xq[0], np.zeros(P)])
    scores = (context @ k.T) @ (q @ query)
    weights = np.exp(scores / np.sqrt(D + P))
    mixed = (weights / weights.sum()) @ context @ v.T @ o.T
    np.testing.assert_allclose(model(prompt)[0], -mixed[-P:], rtol=1e-9)


def test_attention_on_features_descends_on_them(rng):
    """The layer of Proposition 2: embedding and neurons by hand, then a step on what they give."""
    prompt, rate, width = _prompt(rng), 0.3, 7
    model = _model(models.SelfAttention(width=width, features=2, averages=True), rng)
    x, y = (np.diag(d) for d in ([1.0] * (width - P) + [0.0] * P, [0.0] * (width - P) + [1.0] * P))
    heads = [jnp.asarray(w)[None, None] for w in (x, x, -y, rate * y)]
    model = eqx.tree_at(
        lambda m: [getattr(m.stages[1].blocks.attention[0], w) for w in HEAD], model, heads
    )
    neurons = jax.tree.map(lambda leaf: np.asarray(leaf[0]), model.stages[0].blocks.mlp)
    tokens = np.zeros((N + M, D + P))
    tokens[:N, :D], tokens[:N, D:], tokens[N:, :D] = prompt.x, prompt.y, prompt.xq
    tokens = tokens @ np.asarray(model.embed).T
    hidden = np.asarray(jax.nn.gelu(tokens @ neurons.W_in.T + neurons.b_in))
    tokens = tokens + hidden @ neurons.W_out.T + neurons.b_out
    seen, targets = tokens[:, :-P], tokens[:, -P:]
    step = rate * (seen[N:] @ seen[:N].T) @ targets[:N] / N
    np.testing.assert_allclose(eqx.filter_jit(model)(prompt), step - targets[N:], rtol=1e-9)
    assert model.depth == 2


def test_clipping_and_damping_act_on_the_stream(rng):
    prompt = _prompt(rng)
    model = _model(models.SelfAttention(depth=2), rng, scale=1.5)
    clipped = dataclasses.replace(model, clip=0.25)
    assert all(float(jnp.abs(s).max()) <= 0.25 for s in clipped.streams(prompt)[1:])
    start, after = model.streams(prompt)[:2]
    damped = dataclasses.replace(model, damping=0.5).streams(prompt)[1]
    np.testing.assert_allclose(damped - start, 0.5 * (after - start), rtol=1e-9, atol=1e-9)


def test_layer_norm_between_layers_leaves_the_first_one_without(rng):
    architecture = models.SelfAttention(depth=3, layer_norm="between")
    model, prompt = _model(architecture, rng), _prompt(rng)
    assert [(stage.blocks.norms is None, stage.depth) for stage in model.stages] == [
        (True, 1),
        (False, 2),
    ]
    start, first, *_ = model.streams(prompt)
    heads = block_at(model.stages[0].blocks, 0).attention[0]
    roles = model.tokenised(prompt)[1]
    np.testing.assert_allclose(first, start + heads(start, roles, prompt.n), rtol=1e-12)
    with pytest.raises(ValueError, match="tied"):
        models.SelfAttention(depth=2, tied=True, layer_norm="between")


def test_alternating_tokens():
    x, y = jnp.array([[1.0], [2.0], [9.0]]), jnp.array([[3.0], [4.0], [0.0]])
    found = alternating(x, y, 2).tolist()
    assert found == [[1, 0], [0, 3], [2, 0], [0, 4], [9, 0]]
    codes = sinusoids(np.arange(5), 4)
    np.testing.assert_allclose(codes[3], [np.sin(3), np.cos(3), np.sin(0.03), np.cos(0.03)])


def test_the_order_of_the_context_matters_only_where_tokens_have_positions(rng):
    prompt = _prompt(rng)
    turned = Prompt(prompt.x[::-1], prompt.y[::-1], prompt.xq)
    for name, matters in (("linear", False), ("alternating", True), ("gpt2", True)):
        answer = eqx.filter_jit(_model(ARCHITECTURES[name], rng))
        assert bool(jnp.allclose(answer(prompt), answer(turned))) != matters


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_sparse_attention_is_preconditioned_gradient_descent(steps, rng):
    matrix, prompt = 0.2 * np.eye(D) + 0.05 * rng.normal(size=(D, D)), _prompt(rng)
    model = models.PreconditionedAttention(jnp.asarray(np.stack([matrix] * steps)), None)
    learner = preconditioned_gradient_descent(matrix.T)
    np.testing.assert_allclose(model(prompt), run(learner, prompt, steps=steps)[-1], rtol=1e-8)


def test_transformed_covariates_are_the_paper_s_matrix_form(rng):
    """`Z + (1/n) P Z M (Z^T Q Z)` with tokens as columns, two layers."""
    a, b = 0.3 * rng.normal(size=(2, 2, D, D))
    prompt = _prompt(rng, m=1)
    x, y, xq = (np.asarray(v) for v in (prompt.x, prompt.y, prompt.xq))
    z = np.block([[x.T, xq.T], [y.T, np.zeros((P, 1))]])
    mask = np.diag([1.0] * N + [0.0])
    for layer in range(2):
        p = np.block([[b[layer], np.zeros((D, P))], [np.zeros((P, D)), np.eye(P)]])
        q = np.zeros((D + P, D + P))
        q[:D, :D] = -a[layer]
        z = z + p @ z @ mask @ (z.T @ q @ z) / N
    model = models.PreconditionedAttention(jnp.asarray(a), jnp.asarray(b))
    np.testing.assert_allclose(model(prompt)[0], -z[D:, -1], rtol=1e-9)


@pytest.mark.parametrize(
    "kernel",
    ["exp", "softmax", *(pytest.param(k, marks=pytest.mark.slow) for k in ("linear", "relu"))],
)
def test_kernel_heads_take_functional_gradient_steps(kernel, rng):
    """With `A = 0`, `B = C = I` and `r = -rate`: the construction of Cheng et al."""
    prompt, rate, depth = _prompt(rng), 0.05, 3
    step = -rate * (N if kernel == "softmax" else 1)  # the construction's softmax has no 1/n
    eye = jnp.tile(jnp.eye(D), (depth, 1, 1, 1))
    model = _model(models.KernelHeads(depth, (kernel,)), rng)
    model = eqx.tree_at(
        lambda m: (m.A, m.B, m.C, m.r), model, (0 * eye, eye, eye, jnp.full((depth, 1), step))
    )
    by_hand = constructions.functional_gradient_descent(
        [constructions.KernelHead(Kernel(kernel))], d=D, p=P, steps=depth, learning_rate=rate
    )
    np.testing.assert_allclose(model(prompt), by_hand(prompt), rtol=1e-9)


def test_identity_targets_give_the_coefficients_of_a_model_linear_in_y(rng):
    model, prompt = _model(ARCHITECTURES["kernel_heads"], rng), _prompt(rng)
    coefficients = model(Prompt(prompt.x, jnp.eye(N), prompt.xq))
    np.testing.assert_allclose(coefficients @ prompt.y, model(prompt), rtol=1e-9)


def test_a_clamp_bounds_covariates_and_leaves_targets_alone(rng):
    """Two layers of exp written out; without a bound they give what is not a number."""
    prompt, clamp = _prompt(rng), 1.5
    model = _model(models.KernelHeads(2, ("exp",), clamp=clamp), rng, scale=1.5)
    x, y = jnp.concatenate([prompt.x, prompt.xq]), jnp.pad(prompt.y, ((0, M), (0, 0)))
    for a, b, c, r in zip(model.A[:, 0], model.B[:, 0], model.C[:, 0], model.r[:, 0], strict=True):
        scores = jnp.exp((x @ c.T) @ (x[:N] @ b.T).T) / N
        x, y = x + scores @ x[:N] @ a.T, y + r * scores @ y[:N]
        norms = jnp.linalg.norm(x, axis=1)
        assert float(norms.max()) > clamp
        x = x * jnp.minimum(1.0, clamp / norms)[:, None]
    np.testing.assert_allclose(model(prompt), -y[N:], rtol=1e-9)
    free = dataclasses.replace(model, clamp=None)
    assert not np.isfinite(free(prompt)).all()
    gradient = eqx.filter_grad(lambda m: jnp.sum(m(prompt)))(model)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_a_clamp_that_is_not_reached_changes_nothing(rng):
    model, prompt = _model(ARCHITECTURES["kernel_heads"], rng), _prompt(rng)
    wide = dataclasses.replace(model, clamp=1e6)
    np.testing.assert_allclose(wide(prompt), model(prompt), rtol=1e-12)


def test_a_decoder_sees_the_past_only(rng):
    model, prompt = _model(ARCHITECTURES["gpt2"], rng), _prompt(rng)
    read = eqx.filter_jit(type(model).prefixes)
    changed = Prompt(prompt.x, prompt.y.at[4].add(1.0), prompt.xq)
    difference = np.abs(read(model, prompt) - read(model, changed)).max(1)
    assert difference[:5].max() == 0 and difference[5:].min() > 1e-6
    short = Prompt(prompt.x[:4], prompt.y[:4], prompt.x[4:5])
    np.testing.assert_allclose(eqx.filter_jit(model)(short)[0], read(model, prompt)[4], rtol=1e-9)


def test_garg_s_standard_decoder_has_nine_and_a_half_million_weights():
    make = models.GPT2.of_size("standard")
    shapes = jax.eval_shape(lambda key: make(d=20, p=1, key=key), jax.random.key(0))
    assert 9.4e6 < sum(leaf.size for leaf in jax.tree.leaves(shapes)) < 9.6e6


def test_the_first_weights_have_the_published_spread(key):
    model = models.SelfAttention(depth=1)(d=300, p=1, key=key)
    spread = float(model.stages[0].blocks.attention[0].W_Q.std())
    np.testing.assert_allclose(spread, np.sqrt(0.002 / 301), rtol=0.02)


def test_mistakes_are_named(rng):
    with pytest.raises(
        ValueError, match="d = 5 covariates and p = 2 targets; the prompt has d = 5"
    ):
        _model(models.SelfAttention(), rng)(
            Prompt(rng.normal(size=(N, D)), rng.normal(size=(N, 1)), rng.normal(size=(M, D)))
        )
    with pytest.raises(ValueError, match="names one for each of 3 untied layers; got 2"):
        models.SelfAttention(depth=3, kernel=("softmax", "linear"))
    with pytest.raises(ValueError, match="at least 1; got 0 and 1"):
        models.SelfAttention(depth=0)
    with pytest.raises(ValueError, match="knows 5 positions; n = 7 examples and a query need 15"):
        _model(models.GPT2(positions=5), rng)(_prompt(rng))
    with pytest.raises(ValueError, match="a multiple of heads; got 7 and 2"):
        models.GPT2(width=7)
    with pytest.raises(ValueError, match="a positive norm, or None; got 0.0"):
        models.KernelHeads(clamp=0.0)
    with pytest.raises(ValueError, match="at most d = 1"):
        models.GPT2()(d=1, p=2, key=jax.random.key(0))


def test_every_architecture_has_a_name_and_a_test():
    assert {type(a) for a in ARCHITECTURES.values()} == set(models.ARCHITECTURES.values())


def test_many_prompts_at_once_are_read_as_one_by_one(rng):
    """The same numbers, and the same gradient, as under `jax.vmap`."""
    model, prompts = _model(ARCHITECTURES["gpt2"], rng), [_prompt(rng) for _ in range(3)]
    whole = jax.tree.map(lambda *leaves: jnp.stack(leaves), *prompts)

    def at_once(model):
        return model.batched_prefixes(whole)

    def one_by_one(model):
        return jax.vmap(model.prefixes)(whole)

    found, expected = (
        eqx.filter_jit(lambda m, read=read: (read(m), eqx.filter_grad(_mean_square)(m, read)))(
            model
        )
        for read in (at_once, one_by_one)
    )
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert np.abs(found[0][0] - found[0][1]).max() > 1e-3


def _mean_square(model, read):
    return jnp.mean(read(model) ** 2)
