r"""Finite pools: training tasks that repeat.

    TeacherPool    w ~ Uniform{w_1, ..., w_K},  fresh covariates
    PromptPool     prompt ~ Uniform{P_1, ..., P_K}

Members are drawn from their index when they are needed; no pool is kept in memory.
References: Raventós et al. (2023), arXiv:2306.15063 (teachers, and their posterior mean, dMMSE);
von Oswald et al. (2023), arXiv:2212.07677, Figure 16 (prompts).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from innerloop.prompts import Prompt
from innerloop.tasks._linear_regression import LinearRegression
from innerloop.tasks._task import AbstractTask, Sample


@dataclass(frozen=True)
class TeacherPool(LinearRegression):
    """Linear regression with `size` teachers in all.

    Args:
        size: How many teachers there are.
        pool_seed: Draws them.

    Example:
        >>> task = TeacherPool(n=5, d=3, noise=0.5, size=2)
        >>> task.teachers().shape
        (2, 3, 1)
    """

    size: int = 64
    pool_seed: int = 0

    def member(self, index: Int[Array, ""] | int) -> Float[Array, "d p"]:
        """The teacher with this index."""
        key = jax.random.fold_in(jax.random.key(self.pool_seed), index)
        return self.teacher(key=key)

    def teachers(self) -> Float[Array, "size d p"]:
        """All teachers."""
        return jax.vmap(self.member)(jnp.arange(self.size))

    def sample(self, *, key: PRNGKeyArray) -> Sample:
        """One prompt and its answers."""
        index, prompt = jax.random.split(key)
        member = self.member(jax.random.randint(index, (), 0, self.size))
        return self.taught(member, key=prompt)

    def bayes(self, prompt: Prompt) -> Float[Array, "m p"]:
        """The mean over teachers by their posterior weight (dMMSE).

        The weights are `softmax_k(-|y - X w_k|^2 / (2 noise^2))`; without noise, all weight is on
        the teacher that fits best.
        """
        teachers = self.teachers()
        residuals = jnp.asarray(prompt.y)[None] - jnp.einsum("nd,kdp->knp", prompt.x, teachers)
        misfit = (residuals**2).sum((1, 2))
        if self.noise > 0:
            weights = jax.nn.softmax(-misfit / (2 * self.noise**2))
        else:
            weights = jax.nn.one_hot(misfit.argmin(), self.size, dtype=misfit.dtype)
        return jnp.einsum("md,kdp,k->mp", prompt.xq, teachers, weights)


@dataclass(frozen=True)
class PromptPool(LinearRegression):
    """Linear regression with `size` prompts in all: a finite training set.

    Args:
        size: How many prompts there are.
        pool_seed: Draws them.
    """

    size: int = 2048
    pool_seed: int = 0

    def member(self, index: Int[Array, ""] | int) -> Sample:
        """The prompt with this index."""
        teacher, prompt = jax.random.split(
            jax.random.fold_in(jax.random.key(self.pool_seed), index)
        )
        return self.taught(self.teacher(key=teacher), key=prompt)

    def sample(self, *, key: PRNGKeyArray) -> Sample:
        """One prompt and its answers."""
        return self.member(jax.random.randint(key, (), 0, self.size))

    def bayes(self, prompt: Prompt) -> Float[Array, "m p"]:
        """Not known: it would look the prompt up.

        Raises:
            NotImplementedError: Always.
        """
        return AbstractTask.bayes(self, prompt)
