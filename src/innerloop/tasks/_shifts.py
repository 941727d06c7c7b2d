r"""Shifts and mixtures of tasks.

    scale_inputs      x -> alpha x, before the teacher sees it
    ScaledTargets     y -> alpha y: a teacher `alpha` times as large
    Mixture           a task drawn for every prompt

Reference: von Oswald et al. (2023), arXiv:2212.07677, Section 3 and Figure 6.
"""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.prompts import Prompt
from innerloop.tasks._covariates import Covariates
from innerloop.tasks._linear_regression import LinearRegression
from innerloop.tasks._task import AbstractTask, Sample


def scale_inputs(task: LinearRegression, alpha: float) -> LinearRegression:
    """The task with covariates `alpha` times as large, and the teachers it had.

    Example:
        >>> from innerloop.tasks import von_oswald
        >>> scale_inputs(von_oswald(), 2.0).covariates.scale
        1.0
    """
    scaled = dataclasses.replace(task.covariates, scale=alpha * task.covariates.scale)
    return dataclasses.replace(task, covariates=scaled)


@dataclass(frozen=True)
class ScaledTargets(AbstractTask):
    """A task with all targets multiplied by a number.

    Args:
        task: The task; its sizes count, and those given here must not differ.
        alpha: The factor.
    """

    task: AbstractTask = LinearRegression()
    alpha: float = 2.0

    def __post_init__(self):
        _take_sizes(self, self.task)

    @property
    def p(self) -> int:
        """The number of targets."""
        return self.task.p

    def resized(self, *, n: int, d: int) -> "ScaledTargets":
        """The same factor for the resized task."""
        return dataclasses.replace(self, task=self.task.resized(n=n, d=d))

    def sample(self, *, key: PRNGKeyArray) -> Sample:
        """One prompt and its answers."""
        prompt, yq = self.task.sample(key=key)
        return Sample(Prompt(prompt.x, self.alpha * prompt.y, prompt.xq), self.alpha * yq)

    def bayes(self, prompt: Prompt) -> Float[Array, "m p"]:
        """The task's own best predictor, on the targets as they were."""
        return self.alpha * self.task.bayes(Prompt(prompt.x, prompt.y / self.alpha, prompt.xq))


@dataclass(frozen=True)
class Mixture(AbstractTask):
    """One of several tasks of equal sizes, with equal probability.

    Args:
        tasks: The tasks; the default draws covariates as rows 3 and 4 of the paper's figure do,
            from normal, exponential and Laplace distributions, with a context of unit norm.
    """

    tasks: tuple[AbstractTask, ...] = tuple(
        LinearRegression(covariates=Covariates(family, unit_context=True))
        for family in ("normal", "exponential", "laplace")
    )

    def __post_init__(self):
        sizes = {(task.n, task.d, task.m, task.p) for task in self.tasks}
        if len(sizes) != 1:
            raise ValueError(
                f"the tasks of a mixture must have the same (n, d, m, p); got {sorted(sizes)}."
            )
        _take_sizes(self, self.tasks[0])

    @property
    def p(self) -> int:
        """The number of targets."""
        return self.tasks[0].p

    def resized(self, *, n: int, d: int) -> "Mixture":
        """The mixture of the resized tasks."""
        return dataclasses.replace(self, tasks=tuple(task.resized(n=n, d=d) for task in self.tasks))

    def sample(self, *, key: PRNGKeyArray) -> Sample:
        """One prompt and its answers."""
        which, prompt = jax.random.split(key)
        branches = [lambda key, task=task: task.sample(key=key) for task in self.tasks]
        index = jax.random.randint(which, (), 0, len(self.tasks))
        return jax.lax.switch(jnp.asarray(index), branches, prompt)


def _take_sizes(outer: AbstractTask, inner: AbstractTask) -> None:
    """A wrapper has the sizes of what it wraps."""
    for name in ("n", "d", "m"):
        object.__setattr__(outer, name, getattr(inner, name))
