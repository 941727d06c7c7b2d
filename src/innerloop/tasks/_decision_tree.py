r"""Targets from a random decision tree.

    at an inner node:  go right if x[coordinate] > 0        at a leaf:  y ~ N(0, 1)

Reference: Garg et al. (2022), arXiv:2208.01066, Section 4: depth 4, d = 20.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from innerloop.tasks._covariates import Covariates
from innerloop.tasks._draws import floating, normal
from innerloop.tasks._task import AbstractTask, Sample, split


@dataclass(frozen=True)
class DecisionTree(AbstractTask):
    """A full binary tree whose nodes test the sign of a random coordinate.

    Args:
        depth: How many tests lead to a leaf.
        covariates: How covariates are drawn.
    """

    d: int = 20
    n: int = 100
    depth: int = 4
    covariates: Covariates = Covariates()

    def sample(self, *, key: PRNGKeyArray) -> Sample:
        """One prompt and its answers."""
        nodes, leaves, inputs = jax.random.split(key, 3)
        coordinates = jax.random.randint(nodes, (2**self.depth - 1,), 0, self.d)
        values = normal(leaves, (2**self.depth,))
        x = self.covariates.sample(self.n + self.m, self.d, n=self.n, key=inputs)
        node = jnp.zeros(self.n + self.m, jnp.int32)
        for _ in range(self.depth):
            tested = jnp.take_along_axis(x, coordinates[node][:, None], axis=1)[:, 0]
            node = 2 * node + 1 + (tested > 0)
        y = values[node - (2**self.depth - 1)][:, None]
        return split(x, y, self.n, jnp.zeros((self.n, 1), floating()))
