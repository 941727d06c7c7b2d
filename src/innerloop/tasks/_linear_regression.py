r"""Linear regression in context.

    y = W^T x + noise,    W = teacher_scale T G,   G_ij ~ N(0, 1) (d x p)

The answers at the queries carry no noise. Axes: `n`, `m`, `d`, `p` as everywhere.
References: Garg et al. (2022), arXiv:2208.01066; von Oswald et al. (2023), arXiv:2212.07677;
Ahn et al. (2023), arXiv:2306.00297.
"""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from innerloop.prompts import Prompt
from innerloop.tasks._covariates import Covariates, Matrix
from innerloop.tasks._draws import floating, normal
from innerloop.tasks._task import AbstractTask, Sample, split


@dataclass(frozen=True)
class LinearRegression(AbstractTask):
    """A linear teacher, drawn anew for every prompt.

    Args:
        n: The number of context examples.
        d: The number of covariates.
        m: The number of queries.
        targets: The number of targets.
        covariates: How covariates are drawn.
        noise: Standard deviation of the noise on context targets.
        teacher_scale: Standard deviation of a weight before mixing.
        teacher_mixing: `T`, `(d, d)`, as a tuple of rows; the identity when None.

    Example:
        >>> task = LinearRegression(n=5, d=3, noise=0.1)
        >>> prompt, yq = task.sample(key=jax.random.key(0))
        >>> prompt.x.shape, prompt.y.shape, yq.shape, task.bayes(prompt).shape
        ((5, 3), (5, 1), (1, 1), (1, 1))
    """

    targets: int = 1
    covariates: Covariates = Covariates()
    noise: float = 0.0
    teacher_scale: float = 1.0
    teacher_mixing: Matrix | None = None

    @property
    def p(self) -> int:
        """The number of targets."""
        return self.targets

    def teacher(self, *, key: PRNGKeyArray) -> Float[Array, "d p"]:
        """The weights of one teacher."""
        weights = self.teacher_scale * normal(key, (self.d, self.p))
        if self.teacher_mixing is None:
            return weights
        return jnp.asarray(self.teacher_mixing, floating()) @ weights

    def taught(self, weights: Float[Array, "d p"], *, key: PRNGKeyArray) -> Sample:
        """A prompt whose targets a given teacher wrote."""
        inputs, disturbance = (key, key) if self.noise == 0 else jax.random.split(key)
        x = self.covariates.sample(self.n + self.m, self.d, n=self.n, key=inputs)
        noise = jnp.zeros((self.n, self.p), floating())
        if self.noise > 0:
            noise = self.noise * normal(disturbance, (self.n, self.p))
        return split(x, x @ weights, self.n, noise)

    def sample(self, *, key: PRNGKeyArray) -> Sample:
        """One prompt and its answers."""
        teacher, prompt = jax.random.split(key)
        return self.taught(self.teacher(key=teacher), key=prompt)

    def teacher_root(self) -> Float[np.ndarray, "d d"]:
        """`R` with `E[w w^T] = R R^T` for the weights `w` of a target."""
        mixing = np.eye(self.d) if self.teacher_mixing is None else np.array(self.teacher_mixing)
        return self.teacher_scale * mixing

    def bayes(self, prompt: Prompt) -> Float[Array, "m p"]:
        """The posterior mean: ridge regression, or least squares of least norm without noise."""
        root = jnp.asarray(self.teacher_root(), prompt.dtype)
        return ridge(prompt.x @ root, prompt.y, prompt.xq @ root, self.noise**2)

    def covariance_of(self, x: Float[Array, "points d"]) -> Float[Array, "points points"]:
        """The covariance of a target between points given their covariates, `x^T E[w w^T] x'`."""
        seen = x @ jnp.asarray(self.teacher_root(), x.dtype)
        return seen @ seen.T


def ridge(
    features: Float[Array | np.ndarray, "n k"],
    y: Float[Array | np.ndarray, "n p"],
    queries: Float[Array | np.ndarray, "m k"],
    penalty: float,
) -> Float[Array, "m p"]:
    """The posterior mean of `y = features w + noise` for standard normal `w`, at `queries`."""
    left, sizes, right = jnp.linalg.svd(jnp.asarray(features), full_matrices=False)
    floor = sizes.max() * max(features.shape) * jnp.finfo(sizes.dtype).eps
    squares = sizes**2 + penalty
    filters = jnp.where(sizes > floor, sizes / jnp.where(sizes > floor, squares, 1.0), 0.0)
    return jnp.asarray(queries) @ (right.T * filters[None]) @ (left.T @ y)


def von_oswald(
    *, n: int = 10, d: int = 10, convention: Literal["code", "text"] = "code"
) -> LinearRegression:
    """The linear task of von Oswald et al.

    Args:
        n: The number of context examples.
        d: The number of covariates.
        convention: `"code"`: covariates uniform on `[-0.5, 0.5)`, as in the published code, which
            made the figures. `"text"`: uniform on `[-1, 1)`, as the text says.

    Returns:
        The task: one noiseless target, standard normal teachers.

    Example:
        >>> von_oswald().covariates.scale, von_oswald(convention="text").covariates.scale
        (0.5, 1.0)
    """
    return LinearRegression(
        n=n, d=d, covariates=Covariates("uniform", 0.5 if convention == "code" else 1.0)
    )
