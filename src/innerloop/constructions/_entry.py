"""What the registry of constructions knows of each, and prompts of a few numbers.

Sizes are primes: n = 13 examples, m = 7 queries, d = 3 covariates, p = 2 targets.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from innerloop.constructions._construction import Construction
from innerloop.learners import Learner
from innerloop.prompts import Prompt

D, P = 3, 2


class Entry(NamedTuple):
    """One theorem of the literature.

    Args:
        name: Its name in tests and tables.
        paper: Authors and year.
        statement: Which proposition.
        construct: From a number of steps to the construction that takes them.
        algorithm: What it runs, as a learner; `run` with the same number of steps must agree.
        prompts: From a numpy generator to a prompt.
        bound: The largest difference from the algorithm on such a prompt, five steps deep; 0 where
            the construction is exact.
        parts: What an ordinary transformer of its kind of attention does not have.
        attention: The kind of attention that the compiler is given for a comparison.
    """

    name: str
    paper: str
    statement: str
    construct: Callable[[int], Construction]
    algorithm: Callable[[], Learner]
    prompts: Callable[[np.random.Generator], Prompt]
    bound: float = 0.0
    parts: str = ""
    attention: Literal["linear", "relu"] = "linear"


def regression(rng: np.random.Generator) -> Prompt:
    """Two noisy linear targets of three covariates in `[-1, 1]`."""
    x, xq = (rng.uniform(-1, 1, size=(rows, 3)) for rows in (13, 7))
    y = x @ rng.uniform(-1, 1, size=(3, 2)) + rng.uniform(-0.3, 0.6, size=(13, 2))
    return Prompt(x, y, xq)


def classification(rng: np.random.Generator) -> Prompt:
    """One target, 0 or 1, by the sign of a noisy linear function."""
    prompt = regression(rng)
    return Prompt(prompt.x, (prompt.y[:, :1] > 0.1).astype(float), prompt.xq)
