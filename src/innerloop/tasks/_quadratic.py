r"""Targets quadratic in the covariates, without cross terms.

    y = (1 / sqrt(3)) sum_j w_j x_j^2,   w_j ~ N(0, 1)

The factor gives the scale of linear regression, for standard normal covariates.
Reference: Garg et al. (2022), arXiv:2208.01066, the released code's out-of-distribution tasks.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.prompts import Prompt
from innerloop.tasks._covariates import Covariates
from innerloop.tasks._draws import normal
from innerloop.tasks._linear_regression import ridge
from innerloop.tasks._task import AbstractTask, Sample, split


@dataclass(frozen=True)
class Quadratic(AbstractTask):
    """A linear teacher on squared covariates.

    Args:
        covariates: How covariates are drawn.
        noise: Standard deviation of the noise on context targets.
    """

    covariates: Covariates = Covariates()
    noise: float = 0.0

    def sample(self, *, key: PRNGKeyArray) -> Sample:
        """One prompt and its answers."""
        teacher, inputs, disturbance = jax.random.split(key, 3)
        x = self.covariates.sample(self.n + self.m, self.d, n=self.n, key=inputs)
        y = x**2 @ normal(teacher, (self.d, 1)) / math.sqrt(3.0)
        return split(x, y, self.n, self.noise * normal(disturbance, (self.n, 1)))

    def bayes(self, prompt: Prompt) -> Float[Array, "m p"]:
        """The posterior mean: ridge regression on the squares."""
        features, queries = (jnp.asarray(a) ** 2 / math.sqrt(3.0) for a in (prompt.x, prompt.xq))
        return ridge(features, prompt.y, queries, self.noise**2)
