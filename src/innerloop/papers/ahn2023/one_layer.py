r"""One layer: what it computes, and which weights are best (Lemma 1, Theorems 1 and 5).

The expected loss of any single layer of linear attention is a polynomial in its weights. Of `P`
only the last row `(p; q)` reaches the prediction, of `Q` only the first `d` columns `(A; a^T)`:

    prediction - target = -x_q^T (e + L w)     L = M S + I    M = q A^T + a p^T
    e = A^T S p + q a w^T S w                  S = (1/n) sum_i x_i x_i^T,  w ~ N(0, I)

and the moments of a Wishart matrix `S`, of order two, are known.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

import innerloop as il
from innerloop import algorithms, constructions
from innerloop.models import Attention, Block, Transformer
from innerloop.papers.claims import Outcome, Scale, at_least, at_most, near
from innerloop.report.canvas import INK, QUIET, TEST, TRAIN
from innerloop.tokens import CONTEXT_ROLE, QUERY_ROLE, READ_ROLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, N = 5, 20
EIGENVALUES = np.array([1, 1, 0.25, 0.0625, 1])
PROMPTS = {"smoke": 4_000, "small": 100_000, "paper": 2_000_000}
STARTS = {"smoke": 2, "small": 24, "paper": 100}
BATCH, SE = 4_000, 4.5
STEPS = np.linspace(0.1, 2.2, 15)


def lemma_1(scale: Scale) -> Outcome:
    """The family (8) against gradient descent, for symmetric and for other matrices."""
    rng = np.random.default_rng(1)
    prompt = il.Prompt(rng.normal(size=(N, D)), rng.normal(size=(N, 1)), rng.normal(size=(7, D)))
    skew = 0.3 * rng.normal(size=(D, D)) / D
    symmetric = 0.5 * np.eye(D) + skew + skew.T
    other = 0.5 * np.eye(D) + 3 * skew
    checks = []
    for depth in (2, 5) if scale == "smoke" else (1, 2, 5):
        for name, matrix, expected in (
            ("symmetric A", symmetric, symmetric),
            ("any A, descent with its transpose", other, other.T),
        ):
            checks.append(
                at_most(f"{name}, {depth} layers", _apart(matrix, expected, prompt, depth), 1e-12)
            )
    printed = _apart(other, other, prompt, 2)
    checks.append(at_least("A that is not symmetric, descent with A itself", printed, 1e-3))
    return Outcome(tuple(checks), {}, {"d": D, "n": N, "queries": 7}, seeds=(1,))


def _apart(matrix: np.ndarray, step: np.ndarray, prompt: il.Prompt, depth: int) -> float:
    """The largest difference between the layers and descent with a preconditioner."""
    layers = constructions.preconditioned_gradient_descent(matrix[None], p=1, repeats=depth)
    learner = algorithms.preconditioned_gradient_descent(step)
    return float(np.abs(layers(prompt) - il.run(learner, prompt, steps=depth)[-1]).max())


def theorem_1(scale: Scale) -> Outcome:
    """The least expected loss over all weights of a layer, and the weights that have it."""
    rng = np.random.default_rng(2)
    basis = np.linalg.qr(rng.normal(size=(D, D)))[0]
    covariance = basis @ np.diag(EIGENVALUES) @ basis.T
    printed = 1 / ((N + 1) / N * EIGENVALUES + EIGENVALUES.sum() / N)
    best = basis @ np.diag(printed) @ basis.T
    loss = float(np.sum(EIGENVALUES * (1 - EIGENVALUES * printed)))

    flat = rng.normal(size=(D + 1) ** 2) / D
    found, error = _sampled_loss(flat, covariance, PROMPTS[scale], rng)
    exact = float(_expected_loss(jnp.asarray(flat), jnp.asarray(covariance)))
    slope = jax.jit(jax.value_and_grad(_expected_loss))
    ends = [_descend(slope, covariance, rng) for _ in range(STARTS[scale])]
    end = min(ends, key=lambda end: end.fun)
    inner, (tilt, value) = end.x[: D * D].reshape(D, D), (end.x[-D - 1 : -1], end.x[-1])
    target = end.x[D * D : D * D + D]
    ours = constructions.linear_optimum(covariance, N)
    weights = np.concatenate([-best.ravel(), np.zeros(2 * D), [1.0]])
    sampled, spread = _sampled_loss(weights, covariance, PROMPTS[scale], rng)
    checks = (
        near("loss of random weights, sampled", found, exact, absolute=SE * error, said=""),
        near("least loss over all weights, of several starts", end.fun, loss, relative=1e-8),
        at_most("-value * Q less the printed matrix", np.abs(-value * inner - best).max(), 1e-4),
        at_most("what else is not zero in P's last row", np.abs(tilt * inner[0, 0]).max(), 1e-4),
        at_most("what else is not zero in Q", np.abs(value * target).max(), 1e-4),
        at_most(
            "our closed form less the printed", np.abs(ours.preconditioner - best).max(), 1e-12
        ),
        near("loss of the printed weights, sampled", sampled, loss, absolute=SE * spread),
    )
    arrays = {"losses": np.array([float(e.fun) for e in ends]), "loss": np.array(loss)}
    settings = {"d": D, "n": N, "starts": STARTS[scale], "prompts": PROMPTS[scale]}
    return Outcome(checks, arrays, settings, seeds=(2,))


def _descend(slope, covariance: np.ndarray, rng: np.random.Generator):
    def objective(flat):
        value, gradient = slope(jnp.asarray(flat), jnp.asarray(covariance))
        return float(value), np.asarray(gradient)

    start = rng.normal(size=(D + 1) ** 2) / D
    options = {"gtol": 1e-9, "maxiter": 2000}
    return scipy.optimize.minimize(objective, start, jac=True, method="BFGS", options=options)


def _expected_loss(
    flat: Float[Array, " weights"], covariance: Float[Array, "d d"]
) -> Float[Array, ""]:
    """The polynomial of this module's first lines, in expectation over contexts and tasks."""
    inner, target = flat[: D * D].reshape(D, D), flat[D * D : D * D + D]
    tilt, value = flat[-D - 1 : -1], flat[-1]
    trace, square = jnp.trace(covariance), covariance @ covariance
    mixed = value * inner.T + jnp.outer(target, tilt)
    second = (1 + 1 / N) * square + trace / N * covariance
    linear = jnp.trace(
        covariance @ (jnp.eye(D) + 2 * mixed @ covariance + mixed @ second @ mixed.T)
    )
    image = covariance @ tilt
    outer = (1 + 1 / N) * jnp.outer(image, image) + (tilt @ image) / N * covariance
    even = jnp.trace(inner @ covariance @ inner.T @ outer)
    moment = (trace * covariance + 2 / N * square) @ tilt
    cross = 2 * value * (inner.T @ moment) @ covariance @ target
    traces = trace**2 + 2 / N * jnp.trace(square) + 2 * jnp.trace(second)
    return linear + even + cross + value**2 * (target @ covariance @ target) * traces


def _sampled_loss(
    flat: np.ndarray, covariance: np.ndarray, prompts: int, rng: np.random.Generator
) -> tuple[float, float]:
    """The loss of a transformer of one layer with these weights, and its standard error."""
    inner, outer = np.zeros((2, 1, 1, D + 1, D + 1))
    inner[0, 0, :, :D] = flat[: D * D + D].reshape(D + 1, D)
    outer[0, 0, -1] = flat[-D - 1 :]
    every = np.eye(D + 1)[None, None]
    flags = {"averages": np.ones((1, 1), bool), "readers": np.ones((1, 1, 4), bool)}
    heads = Attention(inner, every, every, outer, **flags, sources=np.array([[READ_ROLES]]))
    layer = Transformer(Block((heads,), None), order=(0,))
    roles = np.array([CONTEXT_ROLE] * N + [QUERY_ROLE])
    answer = jax.jit(jax.vmap(lambda tokens: -layer(tokens, roles, N)[-1, -1]))
    errors, root = [], np.linalg.cholesky(covariance)
    for _ in range(prompts // BATCH):
        x = rng.normal(size=(BATCH, N + 1, D)) @ root.T
        y = np.einsum("bnd,bd->bn", x, rng.normal(size=(BATCH, D)))
        hidden = np.concatenate([y[:, :N], np.zeros((BATCH, 1))], axis=1)
        tokens = np.concatenate([x, hidden[..., None]], axis=2)
        errors.append((np.asarray(answer(jnp.asarray(tokens))) - y[:, -1]) ** 2)
    every = np.concatenate(errors)
    return float(every.mean()), float(every.std() / len(every) ** 0.5)


def theorem_5(scale: Scale) -> Outcome:
    """The slopes of the loss at the stated ReLU layer, and its loss, by sampling."""
    rng = np.random.default_rng(3)
    step = 2 * N / (2 * (D + 2) + N - 1)
    model = constructions.preconditioned_gradient_descent(
        step * np.eye(D)[None], p=D, kernel=il.Kernel("relu")
    )

    @jax.jit
    @jax.vmap
    def sample(x, xq):
        """Targets y = x answer for every task; the step is the scale of ReLU's positive part."""
        predicted = model(il.Prompt(x, x, xq[None]))[0]

        def loss(matrix):
            scores = jax.nn.relu(-x @ matrix @ xq)
            return jnp.sum((-scores @ x / N - xq) ** 2)

        slopes = jax.grad(loss)(step * jnp.eye(D))
        return jnp.sum((predicted - xq) ** 2), slopes, predicted, xq

    losses, slopes, curve = [], [], []
    for _ in range(PROMPTS[scale] // BATCH):
        x, xq = rng.normal(size=(BATCH, N, D)), rng.normal(size=(BATCH, D))
        loss, slope, predicted, query = map(np.asarray, sample(jnp.asarray(x), jnp.asarray(xq)))
        losses.append(loss)
        slopes.append(slope)
        scaled = STEPS[:, None, None] / step * predicted
        curve.append(((scaled - query) ** 2).sum(2).T)
    loss, slope, curve = (np.concatenate(part) for part in (losses, slopes, curve))
    root = len(loss) ** 0.5
    scores = np.abs(slope.mean(0)) / (slope.std(0) / root)
    expected = D - step * D / 2
    ours = constructions.relu_optimum(D, N)
    checks = (
        near("loss at the stated weights", loss.mean(), expected, absolute=SE * loss.std() / root),
        at_most("slope by any entry of A, in standard errors", scores.max(), SE),
        at_most("our closed form less the printed", abs(ours.preconditioner[0, 0] - step), 1e-12),
        at_least("loss more than that of linear attention", loss.mean() - _linear(), 0.5),
    )
    arrays = {"step": STEPS, "sampled": curve.mean(0), "error": curve.std(0) / root}
    arrays |= {"best": np.array(step), "linear": np.array(_linear())}
    return Outcome(checks, arrays, {"d": D, "n": N, "prompts": PROMPTS[scale]}, seeds=(3,))


def _linear() -> float:
    return constructions.linear_optimum(np.eye(D), N).loss


def draw_theorem_5(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Sampled losses of ReLU layers by their step, on the parabola."""
    axes = figure.subplots()
    a = np.linspace(arrays["step"].min(), arrays["step"].max(), 200)
    best, d = float(arrays["best"]), D
    axes.plot(a, d * (1 - a + a**2 / (2 * best)), color=QUIET, label="closed form")
    bars = {"yerr": SE * arrays["error"], "fmt": "o", "color": TEST, "markersize": 4}
    axes.errorbar(arrays["step"], arrays["sampled"], **bars, label="ReLU layer, sampled")
    axes.axvline(best, color=INK, linewidth=0.8, linestyle=":")
    axes.axhline(float(arrays["linear"]), color=TRAIN, label="best linear layer")
    axes.set_xlabel("step a of A = a I")
    axes.set_ylabel("expected squared error")
    axes.legend(frameon=False, loc="upper center")
