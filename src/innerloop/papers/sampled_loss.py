"""The expected loss of layers, sampled on the transformer with their weights."""

import jax
import jax.numpy as jnp
import numpy as np

import innerloop as il
from innerloop import constructions
from innerloop.constructions import SpectralOptimum, spectral_residuals
from innerloop.papers.claims import Check, near

SE = 4.5


def loss_of_weights(
    found: SpectralOptimum, rng: np.random.Generator, *, prompts: int, n: int, d: int
) -> Check:
    """The loss of the transformer with these scalars, less that of the polynomial, on one sample.

    Targets `y = x` answer for every task at once: the prediction is then the matrix that multiplies
    the task, and its distance from the query, squared, is the mean loss over tasks.

    Args:
        found: The scalars of its layers.
        rng: Draws contexts and queries.
        prompts: How many of them.
        n: The number of context examples.
        d: The number of covariates.

    Returns:
        A check that they are equal within standard errors over queries.
    """
    shape = np.eye(d)[None]
    model = constructions.preconditioned_gradient_descent(
        found.steps[:, None, None] * shape, p=d, transforms=found.transforms[:, None, None] * shape
    )

    @jax.jit
    @jax.vmap
    def error(x, xq):
        return jnp.sum((model(il.Prompt(x, x, xq[None]))[0] - xq) ** 2)

    x, xq = rng.normal(size=(prompts, n, d)), rng.normal(size=(prompts, d))
    spectra = np.linalg.eigvalsh(np.einsum("bni,bnj->bij", x, x) / n)
    expected = np.sum(spectral_residuals(spectra, found.steps, found.transforms)[-1] ** 2, axis=1)
    apart = np.asarray(error(jnp.asarray(x), jnp.asarray(xq))) - expected
    spread = SE * apart.std() / prompts**0.5
    what = f"loss of the weights less that of the polynomial, n = {n}, {len(found.steps)} layers"
    return near(what, float(apart.mean()), 0.0, absolute=float(spread), said="")
