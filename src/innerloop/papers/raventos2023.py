r"""Raventos, Paul, Chen and Ganguli (2023): how many tasks it takes to learn regression in context.

    ridge   w_k = (X^T X + s^2 I)^-1 X^T y                         Bayes for tasks w ~ N(0, I)
    dMMSE   w_k = sum_i p_i w_i,  p = softmax(-|y - X w_i|^2 / 2s^2)   Bayes for M given tasks

Axes: `b` prompts, `k` examples, `d` covariates, `M` tasks.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from innerloop import constructions
from innerloop.papers.claims import Claim, Outcome, Paper, Scale, at_least, at_most, near
from innerloop.prompts import Prompt
from innerloop.report.canvas import FAINT, INK, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, LENGTH, NOISE = 8, 16, 0.25
PROMPTS = {"smoke": 512, "small": 512, "paper": 16_384}
POOLS = {
    "smoke": (2, 16, 256, 1_024),
    "small": tuple(2**i for i in (1, 2, 4, 6, 8, 10, 12, 14)),
    "paper": tuple(2**i for i in range(1, 21)),
}
BATCH, SE = 64, 4.0


def prompts_of(
    rng: np.random.Generator, w: Float[np.ndarray, "b d"]
) -> tuple[Float[np.ndarray, "b n d"], Float[np.ndarray, "b n"]]:
    """Covariates and noisy labels of tasks."""
    x = rng.normal(size=(len(w), LENGTH, D))
    noise = NOISE**0.5 * rng.normal(size=(len(w), LENGTH))
    return x, np.einsum("bnd,bd->bn", x, w) + noise


def ridge(x: Float[np.ndarray, "b n d"], y: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b n"]:
    """Predictions of each label from those before it, for tasks `N(0, I)`."""
    said = np.zeros_like(y)
    for k in range(1, LENGTH):
        moment = np.einsum("bnd,bne->bde", x[:, :k], x[:, :k]) + NOISE * np.eye(D)
        target = np.einsum("bnd,bn->bd", x[:, :k], y[:, :k])
        w = np.linalg.solve(moment, target[..., None])[..., 0]
        said[:, k] = np.einsum("bd,bd->b", w, x[:, k])
    return said


def discrete(
    x: Float[np.ndarray, "b n d"], y: Float[np.ndarray, "b n"], pool: Float[np.ndarray, "M d"]
) -> Float[np.ndarray, "b n"]:
    """Predictions of each label from those before it, for tasks of a pool."""
    said = np.zeros_like(y)
    for start in range(0, len(x), BATCH):
        part = slice(start, start + BATCH)
        scores = np.zeros((len(x[part]), len(pool)))
        for k in range(LENGTH):
            guess = x[part, k] @ pool.T
            said[part, k] = np.sum(softmax(scores, axis=1) * guess, axis=1)
            scores -= (y[part, k, None] - guess) ** 2 / (2 * NOISE)
    return said


def _error(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The squared difference over `d` of each prompt, the mean over its labels."""
    return np.mean((said - truth) ** 2, axis=1) / D


def references(scale: Scale) -> Outcome:
    """Errors of both on tasks of the pool and on new ones, and their distance, by pool size."""
    rng, checks, rows = np.random.default_rng(0), [], []
    for size in POOLS[scale]:
        pool = rng.normal(size=(size, D))
        row = []
        for name in ("pool", "new"):
            chosen = rng.integers(size, size=PROMPTS[scale])
            w = pool[chosen] if name == "pool" else rng.normal(size=(PROMPTS[scale], D))
            x, y = prompts_of(rng, w)
            truth = np.einsum("bnd,bd->bn", x, w)
            by_ridge, by_pool = ridge(x, y), discrete(x, y, pool)
            errors = _error(by_ridge, truth), _error(by_pool, truth)
            gain = errors[0] - errors[1] if name == "pool" else errors[1] - errors[0]
            best = "dMMSE" if name == "pool" else "ridge"
            low = -SE * float(gain.std()) / len(gain) ** 0.5
            what = f"gain of {best} on {name} tasks, M = {size}"
            checks.append(at_least(what, float(gain.mean()), low))
            row += [float(e.mean()) for e in errors] + [float(_error(by_ridge, by_pool).mean())]
        rows.append(row)
    found = np.array(rows)
    distance = found[:, 5]
    name = "distance of ridge and dMMSE on new tasks, largest M over smallest"
    checks.append(at_most(name, float(distance[-1] / distance[0]), 0.5))
    slope = float(np.polyfit(np.log(POOLS[scale]), np.log(distance), 1)[0])
    checks.append(at_most("slope of that distance in M, on logarithms", slope, -0.1))
    arrays = {"M": np.array(POOLS[scale]), "found": found}
    settings = {"d": D, "examples": LENGTH, "noise": NOISE, "prompts": PROMPTS[scale]}
    return Outcome(tuple(checks), arrays, settings, seeds=(0,))


def draw_references(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Errors of both on both kinds of task."""
    panels = figure.subplots(1, 2, sharey=True)
    for axes, title, first in zip(panels, ("tasks of the pool", "new tasks"), (0, 3), strict=True):
        for column, name, colour in ((0, "ridge", TEST), (1, "dMMSE", TRAIN), (2, "distance", INK)):
            line = arrays["found"][:, first + column]
            style = ":" if name == "distance" else "-"
            axes.semilogx(arrays["M"], line, style, color=colour, label=name, base=2)
        axes.axhline(0, color=FAINT, linewidth=1)
        axes.set_title(title)
        axes.set_xlabel("tasks M")
    panels[0].set_ylabel("squared error over d")
    panels[1].legend(frameon=False)


def ridge_error(scale: Scale) -> Outcome:
    """Ridge's error on new tasks against the posterior's variance, label by label."""
    rng = np.random.default_rng(1)
    count = 4 * PROMPTS[scale]
    w = rng.normal(size=(count, D))
    x, y = prompts_of(rng, w)
    squares = (ridge(x, y) - np.einsum("bnd,bd->bn", x, w)) ** 2 / D
    checks, laws = [], []
    for k in range(LENGTH):
        moment = np.einsum("bnd,bne->bde", x[:, :k], x[:, :k]) / NOISE + np.eye(D)
        inverse = np.linalg.inv(moment)
        law = np.einsum("bd,bde,be->b", x[:, k], inverse, x[:, k]) / D
        gap = squares[:, k] - law
        room = SE * float(gap.std()) / count**0.5
        laws.append(float(law.mean()))
        checks.append(near(f"error less the posterior's variance, k = {k}", float(gap.mean()), 0.0,
                           absolute=room, said=""))  # fmt: skip
    arrays = {"k": np.arange(LENGTH), "found": squares.mean(0), "law": np.array(laws)}
    return Outcome(tuple(checks), arrays, {"d": D, "prompts": count}, seeds=(1,))


def ridge_in_weights(scale: Scale) -> Outcome:
    """Ridge by a looped layer: gradient descent with the noise as its penalty."""
    rng, checks = np.random.default_rng(2), []
    for k in (12,) if scale == "smoke" else (4, 12, 15):
        w = rng.normal(size=D)
        x, xq = rng.normal(size=(k, D)), rng.normal(size=(5, D))
        y = x @ w + NOISE**0.5 * rng.normal(size=k)
        top = float(np.linalg.eigvalsh(x.T @ x / k)[-1])
        rate = 1.0 / (top + NOISE / k)
        steps = int(np.ceil(20 * (top + NOISE / k) / (NOISE / k)))
        model = constructions.convex_gradient_descent(
            d=D, p=1, steps=steps, learning_rate=rate, penalty=NOISE / k
        )
        exact = xq @ np.linalg.solve(x.T @ x + NOISE * np.eye(D), x.T @ y)
        gap = float(np.abs(model(Prompt(x, y[:, None], xq))[:, 0] - exact).max())
        checks.append(at_most(f"transformer less ridge, k = {k}", gap, 1e-6))
    return Outcome(tuple(checks), settings={"d": D, "noise": NOISE}, seeds=(2,))


RAVENTOS_2023 = Paper(
    key="raventos2023",
    title="Pretraining task diversity and the emergence of non-Bayesian in-context learning for "
    "regression",
    authors="Raventos, Paul, Chen, Ganguli",
    link="https://arxiv.org/abs/2306.15063",
    summary="Transformers trained on few linear tasks act as the Bayes estimator of those tasks; "
    "beyond a threshold of diversity they act as ridge regression, and solve tasks never seen.",
    found="The two references behave as stated: each is best on its own tasks, and they come "
    "together slowly as tasks become more. The trained transformers are not run yet.",
    claims=(
        Claim(
            id="references",
            statement="The estimator of a pool of M tasks is best on that pool, ridge on new "
            "tasks, and the two come together as M grows.",
            place="Section 2, equations of dMMSE and ridge; Figures 2 and 3, reference curves",
            tolerance=f"{SE:g} standard errors of paired differences; the distance halves at "
            "least, and falls as a power of M",
            measure=references,
            draw=draw_references,
            caption="Error of both estimators on tasks of the pool and on new tasks, and the "
            "distance between them; means over 16 labels, d = 8, noise .25.",
        ),
        Claim(
            id="ridge-error",
            statement="Ridge with the noise's variance as its penalty has the posterior's variance "
            "as its error, for every number of examples.",
            place="Section 2",
            tolerance=f"{SE:g} standard errors of paired differences",
            measure=ridge_error,
        ),
        Claim(
            id="ridge-in-weights",
            statement="Transformers can be ridge regression: a looped layer with weights written "
            "down descends to it.",
            place="Section 2; the construction is that of Bai et al.",
            tolerance="float64: 1e-6 after as many steps as the condition asks for",
            measure=ridge_in_weights,
        ),
        Claim(
            id="few-tasks",
            statement="Transformers trained on few tasks act as dMMSE, up to about 2^6 of them.",
            place="Section 3.1, Figure 2",
            tolerance="distance to dMMSE below that to ridge, on tasks of the pool",
            trains=True,
        ),
        Claim(
            id="threshold",
            statement="Beyond 2^14 to 2^15 tasks they act as ridge on new tasks.",
            place="Section 3.1, Figures 2 and 3",
            tolerance="the crossing of distances to ridge at two batch sizes",
            trains=True,
        ),
        Claim(
            id="interpolation",
            statement="Between two tasks of the pool, predictions follow ridge beyond the "
            "threshold, and dMMSE below it.",
            place="Section 3, tasks on a path between two of the pool",
            tolerance="distances at the middle of the path",
            trains=True,
        ),
    ),
)
