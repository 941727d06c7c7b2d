r"""Kim and Suzuki: what the loss over distributions of neurons looks like.

A saddle with `B` of rank `r` is made by hand: the student has `r` of the tasks' principal features,
and others that are uncorrelated with all of them. Then `B^T zeta = 0`, so that no neuron moves.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most, near
from innerloop.papers.kimsuzuki2024.particles import (
    Particles,
    attention_loss,
    draw,
    features,
    fit,
    reduced_loss,
    ridges,
    velocity,
)

SIZES = {"smoke": (5, 3, 200), "small": (20, 5, 1000), "paper": (20, 5, 10_000)}  # d, k, inputs
NEURONS = {"smoke": 60, "small": 200, "paper": 500}
STEP = 1e-5
SUBSETS = {"smoke": 2, "small": 8, "paper": 32}


def gradient(scale: Scale) -> Outcome:
    """The closed form against automatic differentiation and central differences."""
    d, k, n = SIZES[scale]
    rng = np.random.default_rng(0)
    x, f = ridges(rng, n, d, k)
    start = draw(rng, NEURONS[scale], d, k)
    found, _ = jax.jit(velocity)(start, x, f)
    count = NEURONS[scale]
    exact = jax.tree.map(lambda g: -count * g, jax.jit(jax.grad(reduced_loss))(start, x, f))
    checks = []
    for name, ours, theirs in zip("aw", found, exact, strict=True):
        error = float(jnp.abs(ours - theirs).max() / jnp.abs(theirs).max())
        checks.append(at_most(f"relative error of d{name}/dt, autodiff", error, 1e-8))
    loss = jax.jit(reduced_loss)
    for name in "aw":
        values = getattr(start, name)
        move = jnp.zeros_like(values).at[1, 0].set(STEP)
        ends = [loss(start._replace(**{name: values + sign * move}), x, f) for sign in (1, -1)]
        slope = -count * float(ends[0] - ends[1]) / (2 * STEP)
        value = float(getattr(found, name)[1, 0])
        checks.append(
            near(f"d{name}/dt of one weight, differences", slope, value, relative=1e-5, said="")
        )
    return Outcome(tuple(checks), settings=_settings(scale), seeds=(0,))


def symmetries(scale: Scale) -> Outcome:
    """`L(mu)` under `a -> M a`, and its rise where two features become one."""
    d, k, n = SIZES[scale]
    rng = np.random.default_rng(1)
    x, f = ridges(rng, n, d, k)
    start = draw(rng, NEURONS[scale], d, k)
    mixed = start._replace(a=start.a @ jnp.asarray(rng.normal(size=(k, k))))
    loss, other = (float(reduced_loss(p, x, f)) for p in (start, mixed))
    apart = start._replace(a=start.a.at[:, 0].set(start.a[:, 1] + 1e-3 * start.a[:, 0]))
    merged = start._replace(a=start.a.at[:, 0].set(start.a[:, 1]))
    near_by, equal = (float(reduced_loss(p, x, f)) / loss for p in (apart, merged))
    near_by, equal = (float(reduced_loss(p, x, f)) / loss for p in (apart, merged))
    checks = (
        near("loss after a -> M a over loss before", other / loss, 1.0, absolute=1e-8, said=""),
        near("with two features 1e-3 apart, over loss", near_by, 1.0, absolute=1e-6, said=""),
        at_least("with the two equal, over loss", equal, 1.001),
    )
    return Outcome(checks, settings=_settings(scale), seeds=(1,))


def saddle(
    scale: Scale, missing: tuple[int, ...], seed: int
) -> tuple[Particles, Particles, Array, Array]:
    """A saddle that lacks some principal features: student, teacher, inputs and features.

    Args:
        scale: The sizes.
        missing: Which principal features are lacking, in rising order of their eigenvalues.
        seed: The seed.

    Returns:
        Particles of the student and of a teacher whose features are those of the tasks; the
        inputs and the tasks' features.
    """
    d, k, n = SIZES[scale]
    rng = np.random.default_rng(seed)
    x, count = jnp.asarray(rng.normal(size=(n, d))), NEURONS[scale]
    teacher = draw(rng, count, d, k)
    teacher = teacher._replace(a=teacher.a * jnp.linspace(1.0, 3.0, k)[None])
    f = features(teacher, x)
    directions = jnp.linalg.eigh(f.T @ f / n)[1]
    kept = jnp.asarray([i for i in range(k) if i not in missing], int)
    others = jnp.asarray(rng.normal(size=(count, len(missing))))
    g = features(Particles(others, teacher.w), x)
    others = others - teacher.a @ jnp.linalg.solve(f.T @ f, f.T @ g)
    a = jnp.concatenate([teacher.a @ directions[:, kept], others], axis=1)
    a = a / jnp.std(features(Particles(a, teacher.w), x), axis=0)[None]
    return Particles(a, teacher.w), teacher, x, f


def critical_values(scale: Scale) -> Outcome:
    """Losses and speeds at saddles that lack any subset of principal features."""
    k = SIZES[scale][1]
    rng, checks = np.random.default_rng(2), []
    for seed in range(SUBSETS[scale]):
        missing = tuple(sorted(rng.choice(k, size=rng.integers(1, k), replace=False).tolist()))
        student, _, x, f = saddle(scale, missing, seed)
        moved, loss = velocity(student, x, f)
        eigenvalues = np.linalg.eigvalsh(np.asarray(f.T @ f / len(x)))
        value = float(eigenvalues[list(missing)].sum() / 2)
        speed = float(max(jnp.abs(moved.a).max(), jnp.abs(moved.w).max()))
        name = f"lacking {', '.join(str(i + 1) for i in missing)}"
        checks.append(near(f"loss {name}", float(loss), value, relative=1e-9, said=""))
        checks.append(at_most(f"speed of the fastest neuron, {name}", speed, 1e-9))
        checks.append(at_least(f"loss over half the least eigenvalue, {name}",
                               float(loss) / float(eigenvalues[0] / 2), 1 - 1e-9))  # fmt: skip
    return Outcome(tuple(checks), settings=_settings(scale))


def mixture(
    student: Particles, teacher: Particles, turn: Float[Array, "k k"], s: float | Array
) -> Particles:
    """`(1 - s) mu + s R#mu_f` as particles: masses go into the output weights."""
    share = (len(student.a) + len(teacher.a)) / len(student.a)
    a = jnp.concatenate([share * (1 - s) * student.a, share * s * teacher.a @ turn.T])
    return Particles(a, jnp.concatenate([student.w, teacher.w]))


def curvature(scale: Scale) -> Outcome:
    """The second derivative of the loss from a saddle towards the teacher, turned as the proof."""
    checks = []
    k = SIZES[scale][1]
    for seed, missing in enumerate([(0,), (1, 2)] if scale == "smoke" else [(0,), (1, 3), (2, 4)]):
        student, teacher, x, f = saddle(scale, missing, seed)
        h, n = features(student, x), len(x)
        found = fit(f, h)
        eigenvalues, basis = jnp.linalg.eigh(f.T @ f / n)
        kernel = jnp.linalg.svd(found.B)[2][k - len(missing) :]
        rows = jnp.asarray(missing)
        turn = kernel.T @ basis[:, rows].T

        def loss(s, student=student, teacher=teacher, turn=turn, x=x, f=f):
            return reduced_loss(mixture(student, teacher, turn, s), x, f)

        ends = [float(loss(s)) for s in (1e-3, 0.0, -1e-3)]
        second = (ends[0] - 2 * ends[1] + ends[2]) / 1e-6
        inverse = kernel @ jnp.linalg.solve(h.T @ h / n, kernel.T)
        formula = -float(jnp.sum(eigenvalues[rows] ** 2 * jnp.diag(inverse)))
        largest = float(jnp.linalg.norm(h, axis=1).max())
        bound = -4 * ends[1] ** 2 / (k * largest**2)
        name = f"lacking {', '.join(str(i + 1) for i in missing)}"
        checks += [
            near(f"second derivative, {name}", second, formula, relative=1e-3, said=""),
            at_most(f"the formula, {name}", formula, bound, said="at most -4 L² / (k R²)"),
        ]
    return Outcome(tuple(checks), settings=_settings(scale))


def descent(scale: Scale) -> Outcome:
    """The slope of the loss towards the teacher turned by the inverse of `B`."""
    d, k, n = SIZES[scale]
    checks = []
    for seed in range(2 if scale == "smoke" else 10):
        rng = np.random.default_rng([3, seed])
        x = jnp.asarray(rng.normal(size=(n, d)))
        teacher, student = (draw(rng, NEURONS[scale], d, k) for _ in range(2))
        f = features(teacher, x)
        found = fit(f, features(student, x))
        turn = jnp.linalg.inv(found.B)
        slope = float(
            jax.jvp(
                lambda s, a=student, b=teacher, r=turn, x=x, f=f: reduced_loss(
                    mixture(a, b, r, s), x, f
                ),
                (0.0,),
                (1.0,),
            )[1]
        )
        ratio = slope / float(found.loss)
        checks.append(near(f"slope over loss, draw {seed}", ratio, -2.0, relative=1e-5, said=""))
    return Outcome(tuple(checks), settings=_settings(scale))


def fast_attention(scale: Scale) -> Outcome:
    """Gradient flow of `W` alone, from a random start: where it ends and how fast."""
    d, k, n = SIZES[scale]
    rng = np.random.default_rng(4)
    x, f = ridges(rng, n, d, k)
    student = draw(rng, NEURONS[scale], d, k)
    h = features(student, x)
    a = student.a @ jnp.linalg.inv(jnp.linalg.cholesky(h.T @ h / n)).T  # features of unit moments
    student = student._replace(a=a)
    h, S = features(student, x), f.T @ features(student, x) / n
    rate = 1 / float(jnp.linalg.norm(S, 2) ** 2 * jnp.linalg.norm(h.T @ h / n, 2))
    least = float(reduced_loss(student, x, f))
    slopes = jax.grad(attention_loss, argnums=1)

    def step(W, _):
        value = attention_loss(student, W, x, f)
        return W - rate * slopes(student, W, x, f), value

    spectrum = float(jnp.linalg.svd(S)[1][-1] / jnp.linalg.svd(S)[1][0]) ** 2
    steps = int(40 / spectrum)
    W, losses = jax.lax.scan(step, jnp.asarray(rng.normal(size=(k, k))), length=steps)
    gap = np.asarray(losses) - least
    tail = np.flatnonzero((gap > 1e-12) & (np.arange(steps) > steps // 10))
    logs = np.log(gap[tail])
    line = np.polyfit(tail, logs, 1)
    r2 = 1 - np.var(logs - np.polyval(line, tail)) / np.var(logs)
    checks = (
        at_most("loss at the end less its infimum", abs(float(gap[-1])), 1e-8),
        at_least("R² of a line through the log of the gap", float(r2), 0.99),
        at_most("error of S_fh W = S_fh S_hh^-1", float(
            jnp.abs(S @ W - S @ jnp.linalg.inv(h.T @ h / n)).max()), 1e-4),
    )  # fmt: skip
    return Outcome(checks, settings=_settings(scale) | {"steps": steps}, seeds=(4,))


def _settings(scale: Scale) -> dict[str, int | float | str]:
    d, k, n = SIZES[scale]
    return {"d": d, "k": k, "inputs": n, "neurons": NEURONS[scale]}


CLAIMS = (
    Claim(
        id="fast-attention",
        statement="For fixed neurons the attention matrix converges linearly to one with S_fh W = "
        "S_fh S_hh⁻¹, so that the loss becomes that of the best linear read-out.",
        place="Lemma 3.1, equation 3 (as restated by third-party notes)",
        tolerance="float64; loss to 1e-8, a straight line in the log of the gap",
        measure=fast_attention,
    ),
    Claim(
        id="flow",
        statement="Neurons follow da/dt = E sigma(w.x) B'zeta and dw/dt = E sigma'(w.x) (B'zeta.a) "
        "x, with B the best read-out, which is not differentiated.",
        place="Section 3, first variation (derived here)",
        tolerance="float64: 1e-8 against automatic differentiation, 1e-5 against differences",
        measure=gradient,
    ),
    Claim(
        id="symmetries",
        statement="The loss depends on the span of the features only: it does not change under a "
        "-> M a, and jumps where features become dependent.",
        place="Section 3, the space of measures with S_hh > 0 (derived here)",
        tolerance="float64: 1e-8, and 1e-6 where the moments' condition is 1e6",
        measure=symmetries,
    ),
    Claim(
        id="critical-values",
        statement="Where the flow stands still the loss is half a sum of eigenvalues of E f f'; "
        "every value but zero is at least half the least eigenvalue.",
        place="Theorem 3.3 (as restated by third-party notes; proof derived here)",
        tolerance="float64: relative 1e-9, speeds 1e-9",
        measure=critical_values,
    ),
    Claim(
        id="strict-saddles",
        statement="At a saddle the loss curves down towards the turned teacher by the sum of "
        "lambda² n'S_hh⁻¹n over missing features, which is at least 4 L² / (k R²).",
        place="Theorem 3.3 (as restated by third-party notes; the formula is derived here)",
        tolerance="relative 1e-3, for second differences of step 1e-3",
        measure=curvature,
    ),
    Claim(
        id="descent",
        statement="Away from saddles the loss falls with slope -2 L along the mixture with the "
        "teacher turned by the inverse of B.",
        place="Section 3, improvement away from critical points (derived here)",
        tolerance="relative 1e-5",
        measure=descent,
    ),
)
