r"""Families of algorithms that a transformer may run, each with the settings that are fitted.

A family makes a predictor of every number of steps from its settings; the ranges within which
settings are looked for come from the prompts themselves, so that they have the right units.
Axes: `b` prompts, `n` context, `d` covariates, `s` steps, `m` queries, `p` targets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.algorithms import (
    functional_gradient_descent,
    gd_plus_plus,
    gradient_descent,
    newton_schulz,
)
from innerloop.kernels import Kernel
from innerloop.learners import Learner, run
from innerloop.prompts import Prompt

Scalar = Float[Array, ""]
Range = tuple[float, float]


class Units(NamedTuple):
    """The scales of a set of prompts.

    Args:
        curvature: The largest eigenvalue of `(1/n) sum_i x_i x_i^T`, its median over prompts.
        spread: Its mean eigenvalue, the median over prompts.
        kernel: The largest eigenvalue of a kernel's matrix on the context over `n`, as a function
            of the kernel.
    """

    curvature: float
    spread: float
    kernel: Callable[[str], float]


@dataclass(frozen=True)
class Family:
    """A family of algorithms.

    Args:
        name: The algorithm's name.
        settings: The names of what is fitted.
        answers: `(settings, prompt, steps) -> (steps + 1, m, p)`.
        ranges: From the prompts' scales to the range of each setting.
        iterative: Whether it takes steps; otherwise what it answers after one is all.
    """

    name: str
    settings: tuple[str, ...]
    answers: Callable[[tuple[Scalar, ...], Prompt, int], Float[Array, "s m p"]]
    ranges: Callable[[Units], tuple[Range, ...]]
    iterative: bool = True


def units(whole: Prompt) -> Units:
    """The scales of a batch of prompts."""
    x = np.asarray(whole.x, np.float64)
    spectra = np.linalg.eigvalsh(np.einsum("bnd,bne->bde", x, x) / x.shape[1])

    def kernel(name: str) -> float:
        scores = np.asarray(Kernel(name).scores(jnp.asarray(x), jnp.asarray(x)), np.float64)
        if name == "softmax":
            return 1.0
        return float(np.median(np.linalg.norm(scores, 2, axis=(1, 2)) / x.shape[1]))

    return Units(
        curvature=float(np.median(spectra[:, -1])), spread=float(np.median(spectra)), kernel=kernel
    )


def of_learner(
    name: str,
    make: Callable[..., Learner],
    settings: tuple[str, ...],
    ranges: Callable[[Units], tuple[Range, ...]],
) -> Family:
    """A family whose members are learners.

    Args:
        name: The algorithm's name.
        make: From the settings, in order, to a learner.
        settings: Their names.
        ranges: From the prompts' scales to the range of each.

    Returns:
        The family.
    """

    def answers(values, prompt, steps):
        return jnp.asarray(run(make(*values), prompt, steps=steps))

    return Family(name, settings, answers, ranges)


def _ridge(values: tuple[Scalar, ...], prompt: Prompt, steps: int) -> Float[Array, "s m p"]:
    """Ridge regression in closed form, the same after every step; zero before the first."""
    x, y, xq = (jnp.asarray(a) for a in (prompt.x, prompt.y, prompt.xq))
    moment = x.T @ x / prompt.n + values[0] * jnp.eye(prompt.d, dtype=x.dtype)
    found = xq @ jnp.linalg.solve(moment, x.T @ y / prompt.n)
    return jnp.concatenate([jnp.zeros_like(found)[None], jnp.repeat(found[None], steps, axis=0)])


def _kernel_descent(name: str) -> Family:
    make = partial(functional_gradient_descent, kernel=name)
    return of_learner(
        f"{name} kernel descent",
        make,
        ("learning_rate",),
        lambda unit: ((1e-3 / unit.kernel(name), 30 / unit.kernel(name)),),
    )


FAMILIES: tuple[Family, ...] = (
    of_learner(
        "gradient descent",
        gradient_descent,
        ("learning_rate",),
        lambda unit: ((1e-3 / unit.curvature, 30 / unit.curvature),),
    ),
    Family(
        "ridge",
        ("penalty",),
        _ridge,
        lambda unit: ((1e-9 * unit.spread, 1e2 * unit.spread),),
        iterative=False,
    ),
    of_learner(
        "Newton",
        newton_schulz,
        ("scale",),
        lambda unit: ((1e-3 / unit.curvature**2, 2 / unit.curvature**2),),
    ),
    of_learner(
        "GD++",
        gd_plus_plus,
        ("learning_rate", "curvature"),
        lambda unit: (
            (1e-2 / unit.curvature, 30 / unit.curvature),
            (1e-2 / unit.curvature, 3 / unit.curvature),
        ),
    ),
    *(_kernel_descent(name) for name in ("relu", "exp", "softmax")),
)
