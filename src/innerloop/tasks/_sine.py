r"""Sine waves of random amplitude and phase.

    y = a sin(x + phase),   a ~ U[amplitude),   phase ~ U[0, pi),   x ~ U[-reach, reach)

Reference: von Oswald et al. (2023), arXiv:2212.07677, Section 4 and A.7.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.tasks._draws import floating, uniform
from innerloop.tasks._task import AbstractTask, Sample, split


@dataclass(frozen=True)
class Sine(AbstractTask):
    """Amplitude and phase are independent.

    Args:
        amplitude: The range of the amplitude; (0.1, 5) in the paper's text, (0.1, 0.5) in its code.
        reach: Covariates are uniform on `[-reach, reach)`.
    """

    d: int = 1
    amplitude: tuple[float, float] = (0.1, 0.5)
    reach: float = 5.0

    def __post_init__(self):
        _one_covariate(self.d)

    def sample(self, *, key: PRNGKeyArray) -> Sample:
        """One prompt and its answers."""
        inputs, amplitude, phase = jax.random.split(key, 3)
        x = uniform(inputs, (self.n + self.m, 1), -self.reach, self.reach)
        return _wave(x, uniform(amplitude, ()), uniform(phase, ()), self.amplitude, self.n)


@dataclass(frozen=True)
class CorrelatedSine(AbstractTask):
    """The published code's waves: one uniform number gives both amplitude and phase.

    Args:
        amplitude: The range of the amplitude.
        reach: Covariates are uniform on `[-reach, reach)`.
    """

    d: int = 1
    amplitude: tuple[float, float] = (0.1, 0.5)
    reach: float = 5.0

    def __post_init__(self):
        _one_covariate(self.d)

    def sample(self, *, key: PRNGKeyArray) -> Sample:
        """One prompt and its answers."""
        inputs, shared = jax.random.split(key)
        x = uniform(inputs, (self.n + self.m, 1), -self.reach, self.reach)
        u = uniform(shared, ())
        return _wave(x, u, u, self.amplitude, self.n)


def _wave(
    x: Float[Array, "points 1"],
    amplitude: Float[Array, ""],
    phase: Float[Array, ""],
    reach: tuple[float, float],
    n: int,
) -> Sample:
    """The wave whose amplitude and phase stand at these fractions of their ranges."""
    height = reach[0] + (reach[1] - reach[0]) * amplitude
    return split(x, height * jnp.sin(x + math.pi * phase), n, jnp.zeros((n, 1), floating()))


def _one_covariate(d: int) -> None:
    if d != 1:
        raise ValueError(f"a sine wave has one covariate; got d = {d}.")
