"""Kim and Suzuki: neurons in motion, where runs end, and how they leave saddles."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from innerloop.papers.claims import Check, Claim, Outcome, Scale, at_least, at_most, near
from innerloop.papers.kimsuzuki2024.landscape import saddle
from innerloop.papers.kimsuzuki2024.particles import (
    Particles,
    attention_loss,
    descend,
    draw,
    fit,
    half_sums,
    reduced_loss,
    ridges,
)
from innerloop.report.canvas import FAINT, INK, QUIET, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# d, features of the tasks, features of the student, neurons, inputs, steps
RANKS = {
    "smoke": (5, 3, 2, 60, 300, 1500),
    "small": (20, 5, 3, 200, 2000, 1500),
    "paper": (20, 5, 3, 500, 10_000, 5000),
}
MODELS = {"small": (20, 5, 200, 500, 2000), "paper": (20, 5, 500, 1000, 10_000)}
WIDTHS = {
    "smoke": (80, 320),
    "small": (50, 100, 200, 400, 800),
    "paper": (50, 100, 200, 400, 800),
}
STARTS = {"smoke": 50, "small": 40, "paper": 200}
RUNS = {"smoke": 5, "small": 15, "paper": 100}
ESCAPES = {"smoke": 30, "small": 100, "paper": 1000}


def missing_features(scale: Scale) -> Outcome:
    """Ends of runs whose student has too few features, can only use few, is disturbed, has more."""
    d, c, k, count, n, steps = RANKS[scale]
    rng = np.random.default_rng(0)
    x, f = ridges(rng, n, d, c)
    values = half_sums(f)
    flat = draw(rng, count, d, c)
    subspace = jnp.asarray(np.linalg.qr(rng.normal(size=(c, k)))[0])
    flat = flat._replace(a=flat.a @ subspace @ subspace.T)
    disturbed = flat._replace(a=flat.a + 1e-3 * jnp.asarray(rng.normal(size=flat.a.shape)))
    starts = {
        f"{k} features for {c}": draw(rng, count, d, k),
        f"{c} features in {k} dimensions": flat,
        "the same, disturbed by 1e-3": disturbed,
        f"{c + 2} features for {c}": draw(rng, count, d, c + 2),
    }
    run = jax.jit(lambda p: descend(p, x, f, rate=2.0, steps=steps)[1])
    losses = np.stack([np.asarray(run(start)) for start in starts.values()])
    floor = float(values[c - k])
    checks = [
        near(f"loss at the end, {name}", float(losses[i, -1]), floor, relative=0.01, said="")
        for i, name in enumerate(list(starts)[:2])
    ]
    checks += [
        at_most(f"loss at the end over the lowest saddle's, {name}",
                float(losses[i, -1] / values[1]), 0.9)
        for i, name in enumerate(starts) if i > 1
    ]  # fmt: skip
    arrays = {"losses": losses, "values": values, "names": np.array(list(starts))}
    settings = {"d": d, "neurons": count, "inputs": n, "steps": steps, "rate": 2}
    return Outcome(tuple(checks), arrays, settings, seeds=(0,))


def draw_missing_features(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Losses over the critical values."""
    axes = figure.subplots()
    for value in arrays["values"][1:]:
        axes.axhline(value, color=FAINT, linestyle=":", linewidth=1)
    steps = 1 + np.arange(arrays["losses"].shape[1])
    colours = (TRAIN, INK, TEST, QUIET)
    styles = ("-", "--", "-", "-")
    rows = zip(arrays["names"], arrays["losses"], colours, styles, strict=True)
    for name, losses, colour, style in rows:
        axes.loglog(steps, losses, style, color=colour, label=str(name))
    axes.set_xlabel("steps")
    axes.set_ylabel("loss (dotted: half-sums of eigenvalues)")
    axes.legend(frameon=False, loc="lower left")


def no_run_ends_at_a_saddle(scale: Scale) -> Outcome:
    """Random starts of a student with as many features as the tasks."""
    d, c, _, count, n, steps = RANKS["smoke"]
    x, f = ridges(np.random.default_rng(1), n, d, c)
    values = half_sums(f)
    starts = [draw(np.random.default_rng([1, i]), count, d, c) for i in range(RUNS[scale])]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    run = jax.jit(jax.vmap(lambda p: descend(p, x, f, rate=2.0, steps=2 * steps)[1][-1]))
    worst = float(run(stacked).max() / values[1])
    checks = (at_most("largest loss at the end over the lowest saddle's", worst, 0.5),)
    settings = {"d": d, "k": c, "neurons": count, "inputs": n, "runs": RUNS[scale]}
    return Outcome(checks, settings=settings, seeds=(1,))


@cache
def models(scale: Scale) -> Outcome:
    """Neurons with the best attention, with attention trained beside them, and with it frozen."""
    d, k, count, n, steps = MODELS[scale]
    rng = np.random.default_rng(2)
    held_x, held_f = ridges(rng, 20 * n, d, k)
    floor = float(fit(held_f, held_x).loss)
    x, f = held_x[:n], held_f[:n]
    start, rate = draw(rng, count, d, k), 2.0
    slopes = jax.grad(attention_loss, argnums=(0, 1))

    def joint(state, key, *, trained):
        particles, W = state
        chosen = jax.random.randint(key, (n,), 0, len(held_x))
        moved, turned = slopes(particles, W, held_x[chosen], held_f[chosen])
        particles = jax.tree.map(lambda p, g: p - rate * count * g, particles, moved)
        W = W - rate * turned if trained else W
        return (particles, W), attention_loss(particles, W, x, f)

    def static(state, key):
        chosen = jax.random.randint(key, (n,), 0, len(held_x))
        moved = jax.grad(reduced_loss)(state, held_x[chosen], held_f[chosen])
        state = jax.tree.map(lambda p, g: p - rate * count * g, state, moved)
        return state, reduced_loss(state, x, f)

    keys = jax.random.split(jax.random.key(0), steps)
    runs = {"best attention": jax.lax.scan(static, start, keys)[1]}
    for name, trained in (("attention trained", True), ("attention frozen", False)):
        state = (start, jnp.eye(k))
        runs[name] = jax.lax.scan(
            lambda s, key, trained=trained: joint(s, key, trained=trained), state, keys
        )[1]
    losses = np.stack([np.asarray(run) for run in runs.values()])
    ends = losses[:, -20:].mean(axis=1)
    checks = [
        at_most(f"loss at the end over that of linear features, {name}", float(end / floor), 0.1)
        for name, end in zip(runs, ends, strict=True)
    ]
    arrays = {"losses": losses, "names": np.array(list(runs)), "floor": np.array(floor)}
    settings = {"d": d, "k": k, "neurons": count, "inputs a step": n, "steps": steps, "rate": rate}
    return Outcome(tuple(checks), arrays, settings, seeds=(0, 2))


def likeness(scale: Scale) -> Outcome:
    """How far apart trained and optimal attention end, from the runs of `models`."""
    outcome = models(scale)
    ends = dict(zip(outcome.arrays["names"].tolist(), outcome.arrays["losses"], strict=True))
    trained, best = (
        float(ends[name][-20:].mean()) for name in ("attention trained", "best attention")
    )
    check = Check(
        "loss at the end, attention trained over at its optimum", trained / best, 0.5, 2.0
    )
    return Outcome((check,), settings=outcome.settings, seeds=outcome.seeds)


def draw_models(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Losses of the three over that of linear attention on the covariates."""
    axes = figure.subplots()
    steps = 1 + np.arange(arrays["losses"].shape[1])
    rows = zip(arrays["names"], arrays["losses"], (INK, TRAIN, TEST), strict=True)
    for name, losses, colour in rows:
        axes.loglog(steps, losses, color=colour, label=str(name))
    axes.axhline(float(arrays["floor"]), color=QUIET, linestyle=":", label="no MLP, best attention")
    axes.set_xlabel("steps")
    axes.set_ylabel("loss")
    axes.legend(frameon=False, loc="lower left")


def widths(scale: Scale) -> Outcome:
    """The spread of the loss over starts, after the same time, for more and more neurons."""
    d, k, n, steps, rate = 5, 3, 200, 30, 0.05
    x, f = ridges(np.random.default_rng(3), n, d, k)
    run = jax.jit(jax.vmap(lambda p: descend(p, x, f, rate=rate, steps=steps)[1][-1]))
    spreads = []
    for count in WIDTHS[scale]:
        starts = [_aligned(count, d, k, seed=i) for i in range(STARTS[scale])]
        losses = run(jax.tree.map(lambda *leaves: np.stack(leaves), *starts))
        spreads.append(float(jnp.std(losses, ddof=1)))
    slope = float(np.polyfit(np.log(WIDTHS[scale]), np.log(spreads), 1)[0])
    error = _slope_error(WIDTHS[scale], STARTS[scale])
    checks = (near("slope of the spread in neurons", slope, -0.5, absolute=3 * error, said=""),)
    arrays = {"neurons": np.array(WIDTHS[scale]), "spread": np.array(spreads)}
    settings = {"d": d, "k": k, "inputs": n, "steps": steps, "rate": rate, "starts": STARTS[scale]}
    return Outcome(checks, arrays, settings, seeds=(3,))


def _aligned(count: int, d: int, k: int, *, seed: int) -> Particles:
    """Particles whose mean has features: `a_j` is the first entries of `w_j`, and noise.

    With output weights of mean zero the features of the limit vanish, and what is left of them,
    however many neurons there are, is the fluctuation itself.
    """
    start = draw(np.random.default_rng([3, count, seed]), count, d, k)
    w = d**0.5 * start.w
    return Particles(w[:, :k] + 0.3 * start.a, w)


def _slope_error(counts: tuple[int, ...], starts: int) -> float:
    """The standard error of the slope: logs of standard deviations have `1/sqrt(2 (m - 1))`."""
    logs = np.log(counts)
    return float(1 / np.sqrt(2 * (starts - 1) * np.sum((logs - logs.mean()) ** 2)))


def draw_widths(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Spreads over a line of slope one half."""
    axes = figure.subplots()
    counts, spread = arrays["neurons"], arrays["spread"]
    axes.loglog(counts, spread[0] * np.sqrt(counts[0] / counts), ":", color=QUIET, label="1/√N")
    axes.loglog(counts, spread, "o-", color=TEST, markersize=4, label="spread over starts")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("neurons N")
    axes.set_ylabel("standard deviation of the loss")
    axes.legend(frameon=False)


def escape(scale: Scale) -> Outcome:
    """Steps until the loss has halved from a saddle: undisturbed, with plain and guided noise."""
    student, _, x, f = saddle("smoke", (2,), 0)
    size, limit, rate = 1e-4, 300, 0.02
    flat, restore = jax.flatten_util.ravel_pytree(student)
    slope = jax.grad(lambda v: reduced_loss(restore(v), x, f))
    plain = jax.random.normal(jax.random.key(4), (ESCAPES[scale], *flat.shape))
    noise = jax.jit(
        lambda z: jnp.concatenate([z, jax.vmap(lambda v: jax.jvp(slope, (flat,), (v,))[1])(z)])
    )(plain)
    noise = size * noise / jnp.sqrt(jnp.mean(noise**2, axis=1, keepdims=True))
    starts = flat[None] + jnp.concatenate([jnp.zeros_like(flat)[None], noise])
    run = jax.jit(jax.vmap(lambda v: descend(restore(v), x, f, rate=rate, steps=limit)[1]))
    losses = np.asarray(run(starts))
    below = losses < losses[:, :1] / 2
    steps = np.where(below.any(1), below.argmax(1), limit)
    none, plain, guided = steps[0], steps[1 : ESCAPES[scale] + 1], steps[ESCAPES[scale] + 1 :]
    gain = float(plain.mean() - guided.mean())
    spread = float(np.sqrt((plain.var() + guided.var()) / ESCAPES[scale]))
    checks = (
        at_least("mean steps saved by guiding the noise", gain, 2 * spread),
        at_most("median steps, plain noise over none", float(np.median(plain) / none), 1.0),
        at_most("largest number of steps with plain noise", float(max(plain)), limit - 1.0),
    )
    arrays = {"plain": plain, "guided": guided, "none": np.array(none)}
    settings = {"noise": size, "rate": rate, "at most": limit, "runs": ESCAPES[scale]}
    return Outcome(checks, arrays, settings, seeds=(4,))


def draw_escape(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Steps to half the saddle's loss, run by run."""
    axes = figure.subplots()
    for row, (name, colour) in enumerate((("guided", TRAIN), ("plain", TEST))):
        axes.plot(arrays[name], np.full(len(arrays[name]), row), "o", color=colour, alpha=0.6)
    axes.plot(arrays["none"], 2, "o", color=INK)
    axes.set_yticks((0, 1, 2), ("guided by the Hessian", "plain noise", "none (rounding)"))
    axes.set_ylim(-0.6, 2.6)
    axes.set_xlim(left=0)
    axes.set_xlabel("steps until the loss has halved")


CLAIMS = (
    Claim(
        id="missing-features",
        statement="A student with fewer features than the tasks, or one whose output weights lie "
        "in a subspace, ends at half the sum of the eigenvalues that it lacks; one with enough "
        "features, or disturbed, ends at zero.",
        place="Theorem 3.3, the case of too few features (runs are ours)",
        tolerance="one per cent of the half-sum; what goes to zero is at most nine tenths of the "
        "lowest saddle, below which there is no critical value but zero",
        measure=missing_features,
        draw=draw_missing_features,
        caption="Loss along the flow from four kinds of starts; dotted lines are the critical "
        "values.",
    ),
    Claim(
        id="saddles-are-avoided",
        statement="From random starts the flow avoids saddles.",
        place="Section 4, almost sure avoidance",
        tolerance="all runs below half of the lowest saddle's value",
        measure=no_run_ends_at_a_saddle,
    ),
    Claim(
        id="section-6-models",
        statement="With the MLP trained, whether attention is trained beside it, at its optimum or "
        "frozen, the loss ends far below what linear attention on covariates can reach.",
        place="Section 6 (sizes as restated by third-party notes; rates and teacher are ours)",
        tolerance="a tenth of the linear features' loss at the end",
        measure=models,
        draw=draw_models,
        caption="Loss with the best attention, with attention trained, and frozen at the identity, "
        "above the best linear attention without an MLP.",
        least="small",
        trains=True,
    ),
    Claim(
        id="section-6-likeness",
        statement="Trained jointly, attention and neurons follow nearly the dynamics of neurons "
        "whose attention is at its optimum.",
        place="Section 6 (sizes as restated by third-party notes; rates and teacher are ours)",
        tolerance="a factor of two between the losses at the end (our reading of nearly)",
        measure=likeness,
        shortfall="With one rate for both, attention that is trained lags behind its optimum, and "
        "the loss at the end is an order of magnitude higher; larger rates bring it nearer until "
        "they diverge. The paper's rates were not available, so its figure is not refuted.",
        least="small",
        trains=True,
    ),
    Claim(
        id="mean-field",
        statement="N neurons follow the mean-field limit, with fluctuations of the order "
        "1/sqrt(N).",
        place="Section 3, the mean-field regime (the test is ours)",
        tolerance="three standard errors of the fitted slope",
        measure=widths,
        draw=draw_widths,
        caption="Standard deviation over starts of the loss after the same time.",
    ),
    Claim(
        id="saddle-escape",
        statement="Noise guided by the Hessian leaves saddles in fewer steps than plain noise of "
        "the same size, and that in fewer than none.",
        place="Yamamoto, Kim and Suzuki (2025), arXiv:2509.16974, which completes the algorithm",
        tolerance="two standard errors of the mean over runs; from this saddle the gain is on one "
        "side only, and medians are equal",
        measure=escape,
        draw=draw_escape,
        caption="Steps until the loss has fallen to half of the saddle's, run by run.",
    ),
    Claim(
        id="rates",
        statement="Features are learned at a rate that is polynomial in their number and linear in "
        "the dimension of the covariates.",
        place="Section 5 (exponents not seen)",
        tolerance="not settled: the exact theorem was not available to us",
    ),
)
