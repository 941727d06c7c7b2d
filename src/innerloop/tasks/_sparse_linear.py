r"""Linear regression whose teacher has few weights that are not zero.

    y = w^T x + noise,   w_j ~ N(0, 1) for j in a uniformly drawn support of `nonzero`, else 0

Reference: Garg et al. (2022), arXiv:2208.01066, Section 4: d = 20, 3 weights.
"""

import itertools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.prompts import Prompt
from innerloop.tasks._covariates import Covariates
from innerloop.tasks._draws import normal
from innerloop.tasks._task import AbstractTask, Sample, split

MOST_SUPPORTS = 20_000


@dataclass(frozen=True)
class SparseLinear(AbstractTask):
    """A sparse linear teacher.

    Args:
        nonzero: How many weights are not zero.
        covariates: How covariates are drawn.
        noise: Standard deviation of the noise on context targets.
    """

    d: int = 20
    nonzero: int = 3
    covariates: Covariates = Covariates()
    noise: float = 0.0

    def __post_init__(self):
        if not 1 <= self.nonzero <= self.d:
            raise ValueError(
                f"nonzero must be between 1 and d = {self.d} weights; got {self.nonzero}."
            )

    def sample(self, *, key: PRNGKeyArray) -> Sample:
        """One prompt and its answers."""
        support, teacher, inputs, disturbance = jax.random.split(key, 4)
        kept = jax.random.permutation(support, self.d) < self.nonzero
        weights = jnp.where(kept[:, None], normal(teacher, (self.d, 1)), 0.0)
        x = self.covariates.sample(self.n + self.m, self.d, n=self.n, key=inputs)
        noise = self.noise * normal(disturbance, (self.n, 1))
        return split(x, x @ weights, self.n, noise)

    def bayes(self, prompt: Prompt) -> Float[Array, "m p"]:
        r"""The mean over all supports, each a ridge regression weighted by its evidence.

            p(S | prompt) ~ N(y; 0, X_S X_S^T + noise^2 I)

        Raises:
            NotImplementedError: Without noise, where the evidence is singular, or with more than
                20,000 supports.
        """
        count = math.comb(self.d, self.nonzero)
        if self.noise == 0 or count > MOST_SUPPORTS:
            raise NotImplementedError(
                "the best predictor sums over supports, and needs noise > 0 and at most "
                f"{MOST_SUPPORTS} of them; got noise = {self.noise} and {count} supports. Compare "
                "with innerloop.algorithms.ista instead."
            )
        supports = np.array(list(itertools.combinations(range(self.d), self.nonzero)))
        x, xq, y = jnp.asarray(prompt.x), jnp.asarray(prompt.xq), jnp.asarray(prompt.y)

        def one(support):
            seen = x[:, support]
            gram = seen @ seen.T + self.noise**2 * jnp.eye(prompt.n, dtype=x.dtype)
            factor = jax.scipy.linalg.cho_factor(gram, lower=True)
            solved = jax.scipy.linalg.cho_solve(factor, y)
            evidence = -0.5 * (y * solved).sum() - jnp.log(jnp.diagonal(factor[0])).sum()
            return evidence, xq[:, support] @ (seen.T @ solved)

        evidence, predictions = jax.lax.map(one, jnp.asarray(supports), batch_size=512)
        return jnp.einsum("s,smp->mp", jax.nn.softmax(evidence), predictions)
