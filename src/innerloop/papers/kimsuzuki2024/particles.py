r"""A mean-field network of particles, and the loss that linear attention leaves on its features.

    h(x) = (1/N) sum_j a_j sigma(<w_j, x>)      S_pq = E p(x) q(x)^T      B = S_fh S_hh^-1
    L_TF(mu, W) = 1/2 E |f - S_fh W h|^2        L(mu) = min_W L_TF = 1/2 E |f - B h|^2
    da_j/dt = E sigma(<w_j, x>) B^T zeta        dw_j/dt = E sigma'(<w_j, x>) <B^T zeta, a_j> x

with `f` the features of the tasks, `zeta = f - B h`, and the time of `N` particles' gradients.
Axes: `n` inputs, `d` covariates, `k` features of the student, `c` of the tasks, `N` particles.
Reference: Kim and Suzuki (2024), arXiv:2402.01258, equations 2 and 3, Lemma 3.1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Particles(NamedTuple):
    """Neurons of one hidden layer, each with its output and input weights."""

    a: Float[Array, "N k"]
    w: Float[Array, "N d"]


class Fit(NamedTuple):
    """The best linear read-out of the tasks' features from the student's."""

    B: Float[Array, "c k"]
    zeta: Float[Array, "n c"]
    loss: Float[Array, ""]


def features(particles: Particles, x: Float[Array, "n d"]) -> Float[Array, "n k"]:
    """`h(x)`, the mean over particles."""
    return jax.nn.sigmoid(x @ particles.w.T) @ particles.a / len(particles.a)


def fit(f: Float[Array, "n c"], h: Float[Array, "n k"]) -> Fit:
    """`B`, the residual `zeta`, and the reduced loss; the least `B` where features coincide."""
    moment = h.T @ h / len(h)
    B = f.T @ h / len(h) @ jnp.linalg.pinv(moment, rtol=1e-10, hermitian=True)
    zeta = f - h @ B.T
    return Fit(B, zeta, 0.5 * jnp.mean(jnp.sum(zeta**2, axis=1)))


def reduced_loss(
    particles: Particles, x: Float[Array, "n d"], f: Float[Array, "n c"]
) -> Float[Array, ""]:
    """`L(mu)`, the loss under the best attention matrix."""
    return fit(f, features(particles, x)).loss


def attention_loss(
    particles: Particles, W: Float[Array, "k k"], x: Float[Array, "n d"], f: Float[Array, "n c"]
) -> Float[Array, ""]:
    """`L_TF(mu, W)`, at prompts of infinitely many examples."""
    h = features(particles, x)
    residual = f - h @ (f.T @ h / len(h) @ W).T
    return 0.5 * jnp.mean(jnp.sum(residual**2, axis=1))


def velocity(
    particles: Particles, x: Float[Array, "n d"], f: Float[Array, "n c"]
) -> tuple[Particles, Float[Array, ""]]:
    """The Wasserstein gradient flow of `L(mu)` by its closed form, and the loss."""
    active = jax.nn.sigmoid(x @ particles.w.T)
    B, zeta, loss = fit(f, active @ particles.a / len(particles.a))
    pull = zeta @ B
    slopes = active * (1 - active) * (pull @ particles.a.T)
    return Particles(active.T @ pull / len(x), slopes.T @ x / len(x)), loss


def descend(
    particles: Particles,
    x: Float[Array, "n d"],
    f: Float[Array, "n c"],
    *,
    rate: float,
    steps: int,
) -> tuple[Particles, Float[Array, " steps"]]:
    """Steps along the flow on fixed inputs, and the loss before each."""

    def step(state, _):
        moved, loss = velocity(state, x, f)
        return jax.tree.map(lambda p, v: p + rate * v, state, moved), loss

    return jax.lax.scan(step, particles, length=steps)


def draw(rng: np.random.Generator, count: int, d: int, k: int) -> Particles:
    """Particles with normal output weights and input weights of norm about 1."""
    a, w = rng.normal(size=(count, k)), rng.normal(size=(count, d)) / np.sqrt(d)
    return Particles(jnp.asarray(a), jnp.asarray(w))


def ridges(rng: np.random.Generator, count: int, d: int, c: int) -> tuple[Array, Array]:
    """Inputs `N(0, I)` and features `s_j tanh(1.5 <v_j, x>)` of the tasks, `v_j` orthonormal.

    Args:
        rng: The source of randomness.
        count: The number of inputs.
        d: Covariates.
        c: Features, of sizes from 1 to 0.6.

    Returns:
        The inputs `(n, d)` and the features `(n, c)`.
    """
    x = rng.normal(size=(count, d))
    directions = np.linalg.qr(rng.normal(size=(d, c)))[0]
    return jnp.asarray(x), jnp.asarray(np.linspace(1, 0.6, c) * np.tanh(1.5 * x @ directions))


def half_sums(f: Float[Array, "n c"]) -> Float[np.ndarray, " c+1"]:
    """Half the sums of the 0, 1, ..., c smallest eigenvalues of `E f f^T`."""
    eigenvalues = np.linalg.eigvalsh(np.asarray(f.T @ f / len(f)))
    return np.concatenate([np.zeros(1), np.cumsum(eigenvalues) / 2])
