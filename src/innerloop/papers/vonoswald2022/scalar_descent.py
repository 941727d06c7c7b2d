r"""GD++ as layers with a few trained numbers: what deep layers with clipped tokens compare with.

    W_KQ = diag(1, ..., 1, 0),     P W_V = -diag(gamma_k, ..., gamma_k, eta_k) / N

Where tokens are clipped the loss is no function of the spectrum, so the numbers are trained as the
released code trains them: by Adam, on drawn tasks. The loss has many local optima, in which step
sizes stay level or grow from layer to layer, so training begins with several growths.
Axes: `k` layers with numbers of their own; one stands for all.
Reference: von Oswald et al. (2023), arXiv:2212.07677, A.10.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.models import InContextTransformer, SelfAttention
from innerloop.prompts import Prompt
from innerloop.tasks import AbstractTask
from innerloop.training import TrainingConfig, train

LARGEST_GROWTH = 5.0


class ScalarDescent(eqx.Module):
    """GD++ as a stack of linear attention; its logarithms are trained.

    Attributes:
        log_rates: Of the step sizes `eta_k`, beside means.
        log_curvatures: Of `gamma_k`, beside means.
        depth: How many layers.
        clip: The largest absolute value in a token after a layer.
    """

    log_rates: Float[Array, " k"]
    log_curvatures: Float[Array, " k"]
    depth: int = eqx.field(static=True)
    clip: float | None = eqx.field(static=True)

    def __call__(self, prompt: Prompt) -> Float[Array, "m 1"]:
        """The predictions at the queries."""
        return self.layers(prompt.d, prompt.n)(prompt)

    def layers(self, d: int, n: int) -> InContextTransformer:
        """The stack, for `d` covariates and `n` examples."""
        own = len(self.log_rates)
        like = SelfAttention(depth=self.depth, tied=own == 1, clip=self.clip)
        model = like(d=d, p=1, key=jax.random.key(0))
        slots = jnp.eye(d + 1)
        x, y = slots.at[-1, -1].set(0.0), jnp.zeros_like(slots).at[-1, -1].set(1.0)
        curvatures, rates = (jnp.exp(a) / n for a in (self.log_curvatures, self.log_rates))
        written = -(curvatures[:, None, None] * x[None] + rates[:, None, None] * y[None])
        same, keyed = (jnp.broadcast_to(a, (own, 1, d + 1, d + 1)) for a in (slots, x))
        return eqx.tree_at(
            lambda m: [getattr(m.stages[0].blocks.attention[0], w) for w in
                       ("W_Q", "W_K", "W_V", "W_O")],
            model, [keyed, same, same, written[:, None]],
        )  # fmt: skip


@dataclass(frozen=True)
class Starts:
    """Where training of `ScalarDescent` starts: numbers that grow by a drawn factor a layer.

    Args:
        depth: How many layers.
        rate: The first layer's step size.
        curvature: Its curvature.
        tied: Whether all layers share their numbers, which then do not grow.
        clip: The largest absolute value in a token after a layer.
    """

    depth: int
    rate: float
    curvature: float
    tied: bool = False
    clip: float | None = None

    def __call__(self, *, d: int, p: int, key: PRNGKeyArray) -> ScalarDescent:
        """One start; a key decides how fast the numbers grow."""
        del d, p
        growth = jax.random.uniform(key, maxval=jnp.log(LARGEST_GROWTH))
        logs = growth * jnp.arange(1 if self.tied else self.depth)
        first = jnp.log(self.rate), jnp.log(self.curvature)
        return ScalarDescent(first[0] + logs, first[1] + logs, self.depth, self.clip)


def tuned(
    starts: Starts, task: AbstractTask, config: TrainingConfig, *, seeds: tuple[int, ...]
) -> ScalarDescent:
    """The best of what training leads to, by the held-out loss of its configuration."""
    found = train(starts, task, config, seeds=seeds)
    return found.model(int(np.nanargmin(found.held_out)))


def alone(model: ScalarDescent) -> ScalarDescent:
    """A model as a stack of one."""
    return jax.tree.map(lambda leaf: leaf[None], model)


def numbers(model: ScalarDescent, d: int, words: str = "") -> dict[str, str]:
    """Step sizes and curvatures as results print them, those of `gamma X X^T` for `n = d`."""
    found = {"η": np.exp(model.log_rates), "γ": np.exp(model.log_curvatures) / d}
    return {
        f"{name} of GD++{words}": " ".join(f"{value:.3g}" for value in values)
        for name, values in found.items()
    }
