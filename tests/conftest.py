"""Fixtures: randomness that a test's own name decides, so that any test can be repeated alone."""

import zlib

import jax
import numpy as np
import pytest


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number that depends on the test's name and parameters only."""
    return zlib.crc32(request.node.nodeid.encode())


@pytest.fixture
def key(seed: int) -> jax.Array:
    """A JAX key for this test."""
    return jax.random.key(seed)


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A numpy generator for this test."""
    return np.random.default_rng(seed)
