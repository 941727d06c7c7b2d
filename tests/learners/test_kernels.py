import jax.numpy as jnp
import numpy as np
import pytest

from innerloop.kernels import KERNELS, Kernel
from tests.oracles import kernels


@pytest.mark.parametrize("name", KERNELS)
def test_scores_are_the_table_of_all_pairs(name, rng):
    """Queries in rows, keys in columns; for softmax the logits, which attention normalises."""
    queries, keys = rng.normal(size=(5, 3)), rng.normal(size=(7, 3))
    scores = Kernel(name, bandwidth=0.7).scores(jnp.asarray(queries), jnp.asarray(keys))
    expected = kernels.matrix(queries, keys, "linear" if name == "softmax" else name, 0.7)
    np.testing.assert_allclose(scores, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", KERNELS)
def test_a_batch_of_heads_is_head_by_head(name, rng):
    queries, keys = (jnp.asarray(rng.normal(size=(2, rows, 3))) for rows in (5, 7))
    together = Kernel(name).scores(queries, keys)
    assert together.shape == (2, 5, 7)
    for h in range(2):
        np.testing.assert_allclose(
            together[h], Kernel(name).scores(queries[h], keys[h]), rtol=1e-12, atol=1e-15
        )


def test_only_rbf_looks_at_the_bandwidth(rng):
    queries, keys = jnp.asarray(rng.normal(size=(5, 3))), jnp.asarray(rng.normal(size=(7, 3)))
    for name in KERNELS:
        narrow, wide = (Kernel(name, bandwidth=s).scores(queries, keys) for s in (0.5, 2.0))
        assert np.allclose(narrow, wide) == (name != "rbf")


def test_only_softmax_is_normalised():
    assert [name for name in KERNELS if Kernel(name).normalised] == ["softmax"]
