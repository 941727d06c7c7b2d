r"""Targets from a random neural network, drawn anew for every prompt.

    h_0 = x,   h_l = act(W_l h_{l-1}),   y = scale W_N h_{N-1},   W_l entries ~ N(mean, std^2)

Two layers of 100 ReLU neurons with `scale = sqrt(2 / 100)` are Garg et al.'s teacher; three to six
layers, no biases, are Wu et al.'s, whose covariates are normal with mean -2 in their experiments.
References: Garg et al. (2022), arXiv:2208.01066, Section 4; Wu et al. (2024), arXiv:2411.16549.
"""

import math
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.tasks._covariates import Covariates
from innerloop.tasks._draws import floating, normal
from innerloop.tasks._task import AbstractTask, Sample, split


@dataclass(frozen=True)
class NetworkTeacher(AbstractTask):
    """A bias-free network with a linear output.

    Args:
        hidden: The sizes of its hidden layers.
        activation: Between layers.
        normalised: Whether a layer's output is multiplied by `sqrt(2 / neurons)`, which keeps
            second moments through ReLU layers; the last factor only, for one hidden layer.
        weight_mean: Mean of a weight.
        weight_scale: Standard deviation of a weight.
        covariates: How covariates are drawn.
        shift: Added to every covariate.
        noise: Standard deviation of the noise on context targets.
    """

    d: int = 20
    n: int = 100
    hidden: tuple[int, ...] = (100,)
    activation: Literal["relu", "tanh"] = "relu"
    normalised: bool = True
    weight_mean: float = 0.0
    weight_scale: float = 1.0
    covariates: Covariates = Covariates()
    shift: float = 0.0
    noise: float = 0.0

    def __post_init__(self):
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden must name at least one layer of neurons; got {self.hidden}.")

    def teacher(self, *, key: PRNGKeyArray) -> tuple[Float[Array, "_ _"], ...]:
        """The weights of one network, a matrix a layer."""
        sizes = (self.d, *self.hidden, 1)
        return tuple(
            self.weight_mean + self.weight_scale * normal(one, (ins, outs))
            for one, ins, outs in zip(
                jax.random.split(key, len(sizes) - 1), sizes[:-1], sizes[1:], strict=True
            )
        )

    def apply(
        self, weights: tuple[Float[Array, "_ _"], ...], x: Float[Array, "points d"]
    ) -> Float[Array, "points 1"]:
        """The network's outputs."""
        act = jax.nn.relu if self.activation == "relu" else jnp.tanh
        for matrix in weights[:-1]:
            x = act(x @ matrix)
            if self.normalised:
                x = x * math.sqrt(2.0 / matrix.shape[1])
        return x @ weights[-1]

    def sample(self, *, key: PRNGKeyArray) -> Sample:
        """One prompt and its answers."""
        teacher, inputs, disturbance = jax.random.split(key, 3)
        x = self.covariates.sample(self.n + self.m, self.d, n=self.n, key=inputs) + self.shift
        noise = jnp.zeros((self.n, 1), floating())
        if self.noise > 0:
            noise = self.noise * normal(disturbance, (self.n, 1))
        return split(x, self.apply(self.teacher(key=teacher), x), self.n, noise)
