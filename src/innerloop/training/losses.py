r"""Losses of an in-context learner on a sampled prompt.

    queries    (1 / 2m) sum_q |f(prompt, xq_q) - yq_q|^2
    prefixes   (1 / 2(n + 1)) sum_i |f(x_1, y_1, ..., x_i) - y_i|^2
    expected   (1 / 2) E[(c^T y - yq)^2 | x] = (1 / 2)(c^T K_cc c - 2 c^T k_q + k_qq)

The last is for models whose prediction `c^T y` is linear in the context's targets. For linear tasks
without noise and teachers of covariance `R R^T` it is `(1 / 2) |c^T X R - xq^T R|^2`: `d` targets
in place of `n`, and a sum of squares, which keeps its digits where the loss is small. All have the
factor one half of von Oswald et al.'s reported losses.
Axes: `n` context, `m` queries, `d` covariates, `p` targets.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from innerloop.models import Decoder
from innerloop.prompts import Prompt
from innerloop.tasks import AbstractTask, GaussianProcess, LinearRegression, Sample

Model = Callable[[Prompt], Float[Array, "m p"]]


@runtime_checkable
class ReadsPrefixes(Protocol):
    """A causal model, which predicts after every prefix of a prompt."""

    def prefixes(self, prompt: Prompt, /) -> Float[Array, "points p"]:
        """Predictions at `x_1, ..., x_n` and the first query."""
        ...


def query_loss(model: Model, sample: Sample) -> Float[Array, ""]:
    """Half the squared error, averaged over queries and summed over targets.

    Example:
        >>> sample = Sample(Prompt([[1.0]], [[1.0]], [[1.0]]), jnp.array([[3.0]]))
        >>> float(query_loss(lambda prompt: jnp.ones((1, 1)), sample))
        2.0
    """
    return 0.5 * jnp.mean(jnp.sum((model(sample.prompt) - sample.yq) ** 2, axis=1))


def prefix_loss(model: ReadsPrefixes, sample: Sample) -> Float[Array, ""]:
    """Half the squared error at every covariate, given the examples before it."""
    targets = jnp.concatenate([jnp.asarray(sample.prompt.y), sample.yq[:1]])
    return 0.5 * jnp.mean(jnp.sum((model.prefixes(sample.prompt) - targets) ** 2, axis=1))


def batched_prefix_loss(model: Decoder, samples: Sample) -> Float[Array, ""]:
    """The mean of `prefix_loss` over samples with a leading axis, by a decoder at once."""
    targets = jnp.concatenate([jnp.asarray(samples.prompt.y), samples.yq[:, :1]], axis=1)
    missed = model.batched_prefixes(samples.prompt) - targets
    return 0.5 * jnp.mean(jnp.sum(missed**2, axis=2))


def expected_loss(model: Model, sample: Sample, task: AbstractTask) -> Float[Array, ""]:
    """The mean of `query_loss` over targets, given the covariates of a sample.

    Args:
        model: A model whose predictions are linear in the context's targets, and which takes any
            number of them: given the identity, it answers with their coefficients.
        sample: Covariates; its targets are not used.
        task: Linear regression or a Gaussian process, with one target.

    Raises:
        ValueError: If the task's targets are not normal given the covariates.
    """
    subclass = type(task) not in (LinearRegression, GaussianProcess)
    if not isinstance(task, LinearRegression | GaussianProcess) or subclass or task.p != 1:
        raise ValueError(
            "the expected loss is known for LinearRegression with one target and GaussianProcess; "
            f"got {type(task).__name__} with p = {task.p}. Use loss='queries'."
        )
    x, xq = jnp.asarray(sample.prompt.x), jnp.asarray(sample.prompt.xq)
    if isinstance(task, LinearRegression) and task.noise == 0:
        root = jnp.asarray(task.teacher_root(), x.dtype)
        missed = model(Prompt(x, x @ root, xq)) - xq @ root
        return 0.5 * jnp.mean(jnp.sum(missed**2, axis=1))
    n = len(x)
    coefficients = model(Prompt(x, jnp.eye(n, dtype=x.dtype), xq))
    among = task.covariance_of(jnp.concatenate([x, xq]))
    context = among[:n, :n] + task.noise**2 * jnp.eye(n, dtype=x.dtype)
    squares = jnp.einsum("mi,ij,mj->m", coefficients, context, coefficients)
    crossed = jnp.einsum("mi,im->m", coefficients, among[:n, n:])
    return 0.5 * jnp.mean(squares - 2 * crossed + jnp.diagonal(among)[n:])
