r"""Targets from a Gaussian process whose covariance is a kernel.

    y | x ~ N(0, |K| + noise^2 I on the context),    K_ij = sum_c weight_c kernel_c(z_i, z_j)

`|K|` takes the absolute values of K's eigenvalues, because ReLU of an inner product is no
covariance; for the others it is `K`. The kernel acts on the points `z` before mixing, as in the
published code; all points of a prompt, queries included, are drawn jointly.
Axes: `n` context, `m` queries, `points = n + m`, `d` covariates.
Reference: Cheng, Chen and Sra (2024), arXiv:2312.06528, Section 3 and Appendix D.
"""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.kernels import Kernel
from innerloop.prompts import Prompt
from innerloop.tasks._covariates import Covariates
from innerloop.tasks._draws import floating, normal
from innerloop.tasks._task import AbstractTask, Sample, split


@dataclass(frozen=True)
class Covariance:
    """A kernel as a covariance function.

    Args:
        name: `linear` `<u, v>`, `relu` `max(<u, v>, 0)`, `exp` `e^{<u, v> / 2}`, `rbf`
            `e^{-|u - v|^2 / 2 bandwidth^2}`, `cosine` `<u, v> / |u||v|`.
        weight: Its factor.
        bandwidth: The length scale of the RBF kernel.
        first: The first coordinate that it sees.
        last: The coordinate after the last that it sees; None for all.
    """

    name: Literal["linear", "relu", "exp", "rbf", "cosine"] = "linear"
    weight: float = 1.0
    bandwidth: float = 1.0
    first: int = 0
    last: int | None = None

    def __call__(self, u: Float[Array, "a d"], v: Float[Array, "b d"]) -> Float[Array, "a b"]:
        """The covariances between points."""
        u, v = u[:, self.first : self.last], v[:, self.first : self.last]
        if self.name == "exp":
            u, v = u / np.sqrt(2.0), v / np.sqrt(2.0)
        if self.name == "cosine":
            u, v = (a / jnp.linalg.norm(a, axis=-1, keepdims=True) for a in (u, v))
        kernel = Kernel("linear" if self.name == "cosine" else self.name, self.bandwidth)
        return self.weight * kernel.scores(u, v)


@dataclass(frozen=True)
class GaussianProcess(AbstractTask):
    """A function drawn from a Gaussian process for every prompt.

    Args:
        kernel: The covariance functions, summed.
        covariates: How covariates are drawn; on the unit sphere by default.
        noise: Standard deviation of the noise on context targets.

    Example:
        >>> task = GaussianProcess(n=5, d=3, kernel=(Covariance("rbf"),))
        >>> prompt, yq = task.sample(key=jax.random.key(0))
        >>> prompt.y.shape, yq.shape
        ((5, 1), (1, 1))
    """

    d: int = 5
    kernel: tuple[Covariance, ...] = (Covariance("linear"),)
    covariates: Covariates = Covariates("sphere")
    noise: float = 0.0

    def __post_init__(self):
        if self.covariates.unit_context:
            raise ValueError(
                "a Gaussian process needs covariates that do not depend on the context's norm; "
                "set unit_context=False."
            )

    def sample(self, *, key: PRNGKeyArray) -> Sample:
        """One prompt and its answers."""
        inputs, values, disturbance = jax.random.split(key, 3)
        z = self.covariates.white(self.n + self.m, self.d, key=inputs)
        sizes, vectors = spectrum(self._gram(z))
        y = vectors @ (jnp.sqrt(jnp.abs(sizes))[:, None] * normal(values, (self.n + self.m, 1)))
        noise = jnp.zeros((self.n, 1), floating())
        if self.noise > 0:
            noise = self.noise * normal(disturbance, (self.n, 1))
        return split(self.covariates.mix(z, self.n), y, self.n, noise)

    def covariance_of(self, x: Float[Array, "points d"]) -> Float[Array, "points points"]:
        """`|K|` of all points of a prompt, from their covariates."""
        mixing = self.covariates.mixing
        z = x / self.covariates.scale
        if mixing is not None:
            z = z @ jnp.asarray(np.linalg.inv(np.array(mixing)), z.dtype).T
        gram = self._gram(z)
        if all(one.name != "relu" and one.weight >= 0 for one in self.kernel):
            return gram
        sizes, vectors = spectrum(gram)
        return (vectors * jnp.abs(sizes)[None]) @ vectors.T

    def bayes(self, prompt: Prompt) -> Float[Array, "m p"]:
        """The mean of the process given the context, `K_qc (K_cc + noise^2 I)^+ y`."""
        n = prompt.n
        full = self.covariance_of(jnp.concatenate([jnp.asarray(prompt.x), jnp.asarray(prompt.xq)]))
        context = full[:n, :n] + self.noise**2 * jnp.eye(n, dtype=full.dtype)
        return full[n:, :n] @ jnp.linalg.pinv(context, hermitian=True) @ prompt.y

    def _gram(self, z: Float[Array, "points d"]) -> Float[Array, "points points"]:
        """`K` of white points."""
        gram = sum((one(z, z) for one in self.kernel[1:]), self.kernel[0](z, z))
        return (gram + gram.T) / 2


def spectrum(
    matrix: Float[Array, "points points"],
) -> tuple[Float[Array, " points"], Float[Array, "points points"]]:
    """Eigenvalues and eigenvectors of a symmetric matrix, on a CPU one matrix at a time.

    On a CPU a batch of matrices is shared out among XLA's threads by the thread that waits for the
    results. When as many batches as threads are under way at once, every thread waits and none
    works: a program with two batches, such as an evaluation whose last batch is a smaller one,
    stands still for ever on two cores (jaxlib 0.10 to 0.12). A single matrix is not shared out.
    """
    return jax.lax.platform_dependent(matrix, cpu=_one_at_a_time, default=_decomposed)


def _decomposed(
    matrix: Float[Array, "points points"],
) -> tuple[Float[Array, " points"], Float[Array, "points points"]]:
    sizes, vectors = jnp.linalg.eigh(matrix)
    return sizes, vectors


_one_at_a_time = jax.custom_batching.sequential_vmap(_decomposed)
