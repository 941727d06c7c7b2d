"""A task: a distribution over prompts, with the answers to the queries.

Tasks are frozen dataclasses of plain numbers: they compare by value, hash, and can be written to a
configuration. One call samples one prompt; batches are `jax.vmap` over keys.
Axes: `n` context examples, `m` queries, `d` covariates, `p` targets.
"""

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.prompts import Prompt


class Sample(NamedTuple):
    """A prompt, and what its queries' targets are.

    Args:
        prompt: Context and queries.
        yq: The targets at the queries, `(m, p)`.
    """

    prompt: Prompt
    yq: Float[Array, "m p"]


@dataclass(frozen=True)
class AbstractTask(ABC):
    """A distribution over prompts.

    Args:
        n: The number of context examples.
        d: The number of covariates.
        m: The number of queries.
    """

    n: int = 10
    d: int = 10
    m: int = 1

    @property
    def p(self) -> int:
        """The number of targets; one, unless a task says otherwise."""
        return 1

    def resized(self, *, n: int, d: int) -> "AbstractTask":
        """The task with other sizes, as a curriculum asks for; a wrapper resizes what it wraps."""
        return dataclasses.replace(self, n=n, d=d)

    @abstractmethod
    def sample(self, *, key: PRNGKeyArray) -> Sample:
        """One prompt and its answers."""

    def bayes(self, prompt: Prompt) -> Float[Array, "m p"]:
        """The predictions with the least expected squared error, `E[yq | prompt]`.

        Raises:
            NotImplementedError: If no closed form is known for this task.
        """
        raise NotImplementedError(
            f"no closed form of the best predictor is known for {type(self).__name__} with these "
            "settings. Compare with a learning algorithm instead, such as "
            "innerloop.algorithms.kernel_ridge or gradient descent on a network."
        )


def split(
    x: Float[Array, "points d"], y: Float[Array, "points p"], n: int, noise: Float[Array, "n p"]
) -> Sample:
    """The first `n` points as context, with noise on their targets; the others as queries."""
    return Sample(Prompt(x[:n], y[:n] + noise, x[n:]), y[n:])
