r"""Kim and Suzuki: prompts of finitely many examples, and the transformer that reads them.

prediction = (1/n) sum_i y_i h(x_i)^T W h(x_q)
L_n = L_TF + (1/2n) {E[|f|^2 h^T W S_hh W^T h] - tr(S_fh W S_hh W^T S_hf)}
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from innerloop import constructions
from innerloop.papers.claims import Claim, Outcome, Scale, at_most, near
from innerloop.papers.kimsuzuki2024.particles import attention_loss, draw, features, ridges
from innerloop.prompts import Prompt
from innerloop.report.canvas import QUIET, TEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, K, NEURONS, POOL = 8, 3, 100, 400
LENGTHS = (5, 10, 20, 50, 100, 200)
PROMPTS = {"smoke": 4_000, "small": 60_000, "paper": 1_000_000}
SE, BATCH = 4.0, 2_000


def transformer(scale: Scale) -> Outcome:
    """An MLP and one layer of linear attention as weights, with ReLU neurons, against the formula.

    Linear attention with `W = M M^T` is that with the identity on features `M^T h`.
    """
    rng, checks = np.random.default_rng(0), []
    for neurons in (50,) if scale == "smoke" else (50, 500):
        w, a = rng.normal(size=(neurons, D)), rng.normal(size=(neurons, K))
        M = rng.normal(size=(K, K))
        hidden = constructions.Features(w, np.zeros(neurons), (a @ M).T / neurons)
        model = constructions.deep_features(hidden, p=1, steps=1, learning_rate=1.0)
        x, y, xq = (rng.normal(size=shape) for shape in ((11, D), (11, 1), (7, D)))
        h, hq = (np.maximum(z @ w.T, 0) @ a / neurons for z in (x, xq))
        expected = hq @ M @ M.T @ h.T @ y / 11
        error = float(np.abs(model(Prompt(x, y, xq)) - expected).max() / np.abs(expected).max())
        checks.append(at_most(f"relative error of a prediction, {neurons} neurons", error, 1e-12))
    return Outcome(tuple(checks), settings={"d": D, "k": K, "examples": 11}, seeds=(0,))


def sampled_loss(
    rng: np.random.Generator,
    f: Float[np.ndarray, "inputs c"],
    h: Float[np.ndarray, "inputs k"],
    W: Float[np.ndarray, "k k"],
    *,
    examples: int,
    prompts: int,
) -> tuple[float, float]:
    """Half the mean squared error over prompts drawn from a pool of inputs; its standard error."""
    losses = []
    for _ in range(prompts // BATCH):
        chosen = rng.integers(len(f), size=(BATCH, examples + 1))
        v = rng.normal(size=(BATCH, f.shape[1]))
        y = np.einsum("bnc,bc->bn", f[chosen], v)
        read = np.einsum("bn,bnk->bk", y[:, :-1], h[chosen[:, :-1]]) / examples
        said = np.einsum("bk,kl,bl->b", read, W, h[chosen[:, -1]])
        losses.append((said - y[:, -1]) ** 2 / 2)
    found = np.concatenate(losses)
    return float(found.mean()), float(found.std() / len(found) ** 0.5)


def finite_prompts(scale: Scale) -> Outcome:
    """The loss of sampled prompts of several lengths, and the identity for it."""
    rng = np.random.default_rng(1)
    x, f = ridges(rng, POOL, D, K)
    student = draw(rng, NEURONS, D, K)
    h = features(student, x)
    moment, cross = h.T @ h / POOL, f.T @ h / POOL
    W = jnp.linalg.inv(moment) @ jnp.asarray(np.eye(K) + 0.1 * rng.normal(size=(K, K)))
    limit = float(attention_loss(student, W, x, f))
    spread = W @ moment @ W.T
    first = jnp.mean(jnp.sum(f**2, 1) * jnp.einsum("nk,kl,nl->n", h, spread, h))
    excess = float(first - jnp.trace(cross @ spread @ cross.T)) / 2
    checks, found, errors = [], [], []
    fs, hs, Ws = (np.asarray(value) for value in (f, h, W))
    for n in LENGTHS:
        loss, error = sampled_loss(rng, fs, hs, Ws, examples=n, prompts=PROMPTS[scale])
        expected = limit + excess / n
        checks.append(near(f"loss, n = {n}", loss, expected, absolute=SE * error, said=""))
        found.append(loss)
        errors.append(error)
    arrays = {
        "n": np.array(LENGTHS),
        "found": np.array(found),
        "error": np.array(errors),
        "limit": np.array(limit),
        "excess": np.array(excess),
    }
    settings = {"d": D, "k": K, "neurons": NEURONS, "inputs": POOL, "prompts": PROMPTS[scale]}
    return Outcome(tuple(checks), arrays, settings, seeds=(1,))


def draw_finite_prompts(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Losses above that of endless prompts, over the identity and the paper's rate."""
    axes = figure.subplots()
    n, limit, excess = arrays["n"], float(arrays["limit"]), float(arrays["excess"])
    bars = {"yerr": SE * arrays["error"], "fmt": "o", "color": TEST, "markersize": 4}
    axes.errorbar(n, arrays["found"] - limit, **bars, label="sampled prompts")
    axes.plot(n, excess / n, color=TEST, label="the identity, 1/n")
    rate = excess / n[0] * np.sqrt(n[0] / n)
    axes.plot(n, rate, color=QUIET, linestyle=":", label="the bound's rate, 1/√n")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(n, [str(k) for k in n])
    axes.minorticks_off()
    axes.set_xlabel("examples n")
    axes.set_ylabel("loss above its limit")
    axes.legend(frameon=False)


CLAIMS = (
    Claim(
        id="transformer",
        statement="An MLP on the covariates of each token and one layer of linear attention "
        "predict (1/n) sum_i y_i h(x_i)'W h(x_q).",
        place="Section 2, the model (as restated by third-party notes)",
        tolerance="float64: relative 1e-12, with the weights of the transformer; ReLU neurons",
        measure=transformer,
    ),
    Claim(
        id="finite-prompts",
        statement="The loss of prompts of n examples differs from that of endless ones by at most "
        "the order of sqrt(log k / n); for fixed weights it is above it by exactly c/n.",
        place="Appendix C.4 (bound as restated by third-party notes; the identity is ours)",
        tolerance=f"{SE:g} standard errors of the sampled loss",
        measure=finite_prompts,
        draw=draw_finite_prompts,
        caption="Loss of sampled prompts above that of endless ones, with "
        f"{SE:g} standard errors, over the identity; the printed rate is slower.",
    ),
    Claim(
        id="finite-landscape",
        statement="With finitely many examples a saddle can become a local minimum of radius at "
        "most n^(-1/4) in Wasserstein distance.",
        place="Appendix C.4 (as restated by third-party notes)",
        tolerance="not settled: the notes give the order only",
    ),
)
