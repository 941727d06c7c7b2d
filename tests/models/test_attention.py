"""Attention against loops: every kernel, mask and normaliser, in either association."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from innerloop.kernels import Kernel
from innerloop.models import Attention, attention, cheaper_order
from tests.models.weights import ROLES, N, as_dict, draw_attention, draw_tokens
from tests.oracles import transformer as oracle

KERNELS = [
    Kernel("linear"),
    Kernel("relu"),
    Kernel("exp"),
    Kernel("rbf", bandwidth=1.7),
    Kernel("softmax"),
]
every_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)


@every_kernel
def test_heads_are_the_formula(kernel, rng):
    heads, tokens = draw_attention(rng, kernel), draw_tokens(rng)
    expected = oracle.attention(as_dict(heads), kernel, tokens, ROLES, N)
    np.testing.assert_allclose(heads(jnp.asarray(tokens), ROLES, N), expected, rtol=1e-11)


@every_kernel
@pytest.mark.parametrize("content", [1e8, np.nan, np.inf])
def test_queries_are_never_read(kernel, content, rng):
    heads, tokens = draw_attention(rng, kernel), draw_tokens(rng)
    strange = tokens.copy()
    strange[5] = content
    found, honest = (np.asarray(heads(jnp.asarray(t), ROLES, N)) for t in (strange, tokens))
    others = np.arange(len(ROLES)) != 5
    np.testing.assert_array_equal(found[others], honest[others])


@every_kernel
def test_a_query_that_is_read_is_seen(kernel, rng):
    """The deliberate fault of the test above."""
    heads, tokens = draw_attention(rng, kernel), jnp.asarray(draw_tokens(rng))
    sources = np.array(heads.sources)
    sources[0, oracle.QUERY] = True
    faulty = dataclasses.replace(heads, sources=sources)
    assert not np.allclose(faulty(tokens, ROLES, N), heads(tokens, ROLES, N), atol=1e-6)


@pytest.mark.parametrize("role", [0, 1, 2])
def test_a_head_writes_to_its_readers_only(role, rng):
    heads = draw_attention(rng, Kernel("linear"))
    readers = np.zeros((3, 3), bool)
    readers[:, role] = True
    written = dataclasses.replace(heads, readers=readers)(jnp.asarray(draw_tokens(rng)), ROLES, N)
    assert (np.abs(np.asarray(written)).max(axis=1) > 0).tolist() == (role == ROLES).tolist()


@pytest.mark.parametrize("kernel", [Kernel("linear"), Kernel("relu")], ids=["linear", "relu"])
def test_a_mean_divides_by_the_context_and_not_by_the_tokens(kernel, rng):
    heads, tokens = draw_attention(rng, kernel), jnp.asarray(draw_tokens(rng))
    total, mean = (
        dataclasses.replace(heads, averages=np.full(3, flag))(tokens, ROLES, N)
        for flag in (False, True)
    )
    np.testing.assert_allclose(mean, np.asarray(total) / 4, rtol=1e-14)


def test_both_associations_of_a_linear_head_are_equal(rng, monkeypatch):
    heads, tokens = draw_attention(rng, Kernel("linear")), jnp.asarray(draw_tokens(rng))
    found = {}
    for order in ("keys_first", "scores_first"):
        monkeypatch.setattr(attention, "cheaper_order", lambda *_, order=order: order)
        found[order] = np.asarray(heads(tokens, ROLES, N))
    np.testing.assert_allclose(found["keys_first"], found["scores_first"], rtol=1e-12)
    assert (found["keys_first"] != found["scores_first"]).any(), "the same code ran twice"


@pytest.mark.parametrize(
    ("t", "k", "v", "order"),
    [
        (4, 64, 64, "scores_first"),
        (63, 64, 64, "scores_first"),
        (64, 64, 64, "keys_first"),
        (1000, 5, 7, "keys_first"),
        (1, 1, 1, "keys_first"),
        (5, 5, 7, "scores_first"),
    ],
)
def test_the_cheaper_order_is_the_cheaper_one(t, k, v, order):
    """Multiplications: `t k v` for the summary and as many to read it, or `t t (k + v)`."""
    costs = {"keys_first": 2 * t * k * v, "scores_first": t * t * (k + v)}
    assert cheaper_order(t, k, v) == order
    assert costs[order] == min(costs.values())


def test_time_does_not_enter_through_the_size_of_the_scores(rng):
    """With many tokens no `(t, t)` array is made."""
    tokens = jnp.zeros((97, 11))
    heads = draw_attention(rng, Kernel("linear"))
    roles = np.zeros(97, int)
    jaxpr = jax.make_jaxpr(lambda x: heads(x, roles, 97))(tokens)
    shapes = {var.aval.shape for eqn in jaxpr.eqns for var in eqn.outvars}
    assert not any(shape[-2:] == (97, 97) for shape in shapes)


def test_heads_add_up(rng):
    heads, tokens = draw_attention(rng, Kernel("relu")), jnp.asarray(draw_tokens(rng))
    single = [
        Attention(**{k: v[h : h + 1] for k, v in as_dict(heads).items()}, kernel=heads.kernel)
        for h in range(3)
    ]
    total = sum(np.asarray(head(tokens, ROLES, N)) for head in single)
    np.testing.assert_allclose(heads(tokens, ROLES, N), total, rtol=1e-12)


@every_kernel
def test_gradients_are_finite(kernel, rng):
    heads, tokens = draw_attention(rng, kernel), jnp.asarray(draw_tokens(rng))

    def loss(w):
        return jnp.sum(dataclasses.replace(heads, W_K=w)(tokens, ROLES, N) ** 2)

    gradient = jax.grad(loss)(jnp.asarray(heads.W_K))
    assert jnp.isfinite(gradient).all() and jnp.abs(gradient).max() > 0
