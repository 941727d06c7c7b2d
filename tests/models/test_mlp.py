"""The MLP against loops over neurons."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from innerloop.models import MLP
from tests.models.weights import as_dict, draw_mlp, draw_tokens
from tests.oracles import transformer as oracle

every_activation = pytest.mark.parametrize("activation", ["relu", "reglu", "gelu"])


@every_activation
def test_neurons_are_the_formula(activation, rng):
    mlp, tokens = draw_mlp(rng, activation), draw_tokens(rng)
    expected = oracle.neurons(as_dict(mlp), activation, tokens)
    np.testing.assert_allclose(mlp(jnp.asarray(tokens)), expected, rtol=1e-12)


@every_activation
def test_tokens_do_not_see_each_other(activation, rng):
    mlp, tokens = draw_mlp(rng, activation), jnp.asarray(draw_tokens(rng))
    alone = jnp.concatenate([mlp(token[None]) for token in tokens])
    np.testing.assert_allclose(mlp(tokens), alone, rtol=1e-13)


@every_activation
def test_another_neuron_is_seen(activation, rng):
    """The deliberate fault: the neurons' outputs off by one."""
    mlp, tokens = draw_mlp(rng, activation), jnp.asarray(draw_tokens(rng))
    faulty = dataclasses.replace(mlp, W_out=np.roll(mlp.W_out, 1, axis=1))
    assert not np.allclose(faulty(tokens), mlp(tokens), atol=1e-6)


def test_a_reglu_of_two_neurons_is_a_product(rng):
    """`relu(a) b - relu(-a) b = a b`, which is why products are exact."""
    w_in = np.array([[0.0, 1.0], [0.0, 1.0]])
    gate = np.array([[1.0, 0.0], [-1.0, 0.0]])
    w_out = np.array([[1.0, -1.0], [0.0, 0.0]])
    zeros = np.zeros(2)
    product = MLP(w_in, zeros, w_out, zeros, gate, zeros, activation="reglu")
    tokens = rng.normal(size=(7, 2))
    found = np.asarray(product(jnp.asarray(tokens)))
    np.testing.assert_array_equal(found[:, 0], tokens[:, 0] * tokens[:, 1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "swish"}, r"unknown activation 'swish'; choose relu, reglu, gelu"),
        ({"activation": "reglu"}, r"W_gate and b_gate belong to activation='reglu'"),
        ({"W_gate": np.zeros((13, 11)), "b_gate": np.zeros(13)}, r"and only to it"),
    ],
)
def test_weights_that_do_not_belong_are_refused(settings, message, rng):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(draw_mlp(rng, "relu"), **settings)
