"""Nath, Khadilkar and Bhattacharyya (2024): can transformers express smooth functions?

What could be read is the abstract, reviews and the released code; the tables were not available.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree
from scipy.special import gamma, ndtr

from innerloop.papers.claims import Claim, Outcome, Paper, Scale, at_least, at_most, near
from innerloop.report.canvas import INK, QUIET, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VARIANCE = 1 / 3 + 6 / 7 + 3 / 5
"""Of a coordinate of `x + cbrt(x)`, `x` uniform on [-1, 1]."""
WIDTHS = {"smoke": (2, 4, 8), "small": (2, 4, 8, 16, 32), "paper": (2, 4, 8, 16, 32)}
POINTS = {"smoke": 1_000, "small": 10_000, "paper": 40_000}
QUERIES = {"smoke": 400, "small": 3_000, "paper": 10_000}
ORACLES = ((1, 0.01, 1_000), (1, 0.01, 10_000), (4, 0.1, 1_000), (4, 0.1, 10_000))
CLASSES = (5, 10, 15, 20)


def targets(rng: np.random.Generator, count: int, d: int) -> Float[np.ndarray, "b d"]:
    """`y = x + cbrt(x)`, the released code's first scheme."""
    x = rng.uniform(-1, 1, size=(count, d))
    return x + np.cbrt(x)


def best_normalised(y: Float[np.ndarray, "b d"], *, rounds: int = 150) -> float:
    """The least mean squared error of `gain u + beta`, `u` of mean 0 and variance 1 for each `y`.

    In turn: `u` by projected gradient steps, then `gain` and `beta` by regression.
    """
    d = y.shape[1]
    gain, beta = np.full(d, y.std()), y.mean(0)
    u = _normalised(y - beta[None])
    for _ in range(rounds):
        for _ in range(10):
            slope = gain[None] * (gain[None] * u + beta[None] - y)
            u = _normalised(u - slope / np.max(gain**2))
        mean = u.mean(0)
        spread = ((u - mean[None]) ** 2).mean(0) + 1e-12
        gain = ((u - mean[None]) * y).mean(0) / spread
        beta = y.mean(0) - gain * mean
    return float(np.mean((gain[None] * u + beta[None] - y) ** 2))


def _normalised(u: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b d"]:
    centred = u - u.mean(1, keepdims=True)
    return centred / np.maximum(centred.std(1, keepdims=True), 1e-12)


def output_floor(scale: Scale) -> Outcome:
    """Errors that no weights go below where the output is a LayerNorm of width `d`.

    With one gain for all coordinates the best `u` is `y` normalised, and the error is
    `(E |y|^2 - (E |y - mean y|)^2) / d`; other gains can only do a little better.
    """
    rng, checks, found = np.random.default_rng(0), [], []
    for d in WIDTHS[scale]:
        y = targets(rng, POINTS[scale], d)
        y -= y.mean(0)
        floor = best_normalised(y)
        length = np.linalg.norm(y - y.mean(1, keepdims=True), axis=1).mean()
        closed = float((np.sum(y**2, axis=1).mean() - length**2) / d)
        checks.append(near(f"floor over its closed form, d = {d}", floor / closed, 0.975,
                           absolute=0.025, said=""))  # fmt: skip
        checks.append(
            at_least(f"share of the variance times d, d = {d}", d * floor / VARIANCE, 0.9)
        )
        found.append((floor, closed))
    arrays = {"d": np.array(WIDTHS[scale]), "found": np.array(found)}
    return Outcome(tuple(checks), arrays, {"targets": POINTS[scale]}, seeds=(0,))


def draw_output_floor(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Floors over `1/d` of the variance."""
    axes = figure.subplots()
    d = arrays["d"]
    floor, closed = arrays["found"].T / VARIANCE
    axes.loglog(d, closed, color=TRAIN, label="one gain for all")
    axes.loglog(d, floor, "o", color=TEST, markersize=4, label="the floor, any gains")
    axes.loglog(d, 1 / d, ":", color=QUIET, label="1/d")
    axes.set_xticks(d, [str(width) for width in d])
    axes.minorticks_off()
    axes.set_xlabel("dimension d of the target, and of the model")
    axes.set_ylabel("mean squared error, share of variance")
    axes.legend(frameon=False)


def expected_failures(
    y: Float[np.ndarray, "b d"], distance: Float[np.ndarray, " b"], labels: int
) -> float:
    """`1 - E exp(-labels p(y) V_d r^d)`: no other label in the ball, by its density at `y`."""
    root = np.cbrt(_inverse(y))
    density = np.prod(0.5 / (1 + 1 / (3 * np.maximum(root**2, 1e-12))), axis=1)
    d = y.shape[1]
    ball = np.pi ** (d / 2) / gamma(d / 2 + 1) * distance**d
    return float(1 - np.mean(np.exp(-labels * density * ball)))


def _inverse(y: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b d"]:
    """`x` with `x + cbrt(x) = y`, by bisection."""
    low, high = -np.ones_like(y), np.ones_like(y)
    for _ in range(60):
        middle = (low + high) / 2
        above = middle + np.cbrt(middle) > y
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2


def failure_rate(scale: Scale) -> Outcome:
    """How often the nearest label is not the true one, for predictions of a given error."""
    rng, checks, found = np.random.default_rng(1), [], {}
    for d, error, labels in (*ORACLES, (16, 0.3, 10_000)):
        y = targets(rng, labels, d)
        chosen = rng.choice(labels, size=min(QUERIES[scale], labels), replace=False)
        noise = error * rng.normal(size=(len(chosen), d))
        share = float(np.mean(KDTree(y).query(y[chosen] + noise)[1] != chosen))
        found[d, labels] = share
        name = f"failure rate, d = {d}, error {error:g}, {labels} labels"
        if d < 16:
            law = expected_failures(y[chosen], np.linalg.norm(noise, axis=1), labels)
            room = 0.03 + 4 * float(np.sqrt(law * (1 - law) / len(chosen)))
            checks.append(near(name, share, law, absolute=room, said=""))
        else:
            checks.append(at_most(name, share, 0.01))
    ratio = found[4, 10_000] / max(found[4, 1_000], 1e-3)
    checks.append(at_least("rate of ten times the labels over the rate, d = 4", ratio, 3.0))
    return Outcome(tuple(checks), settings={"queries": QUERIES[scale]}, seeds=(1,))


def majority(scale: Scale) -> Outcome:
    """The failure rate of naming the commonest class, for centroids on the diagonal.

    The class is the centroid nearest to the mean coordinate, which is nearly normal.
    """
    rng, checks, found = np.random.default_rng(2), [], []
    count, dimensions = (5_000 if scale == "smoke" else 50_000), (4, 8, 16, 32, 256)
    for d in dimensions:
        mean = np.concatenate([targets(rng, 1_000, d).mean(1) for _ in range(count // 1_000)])
        row = []
        for k in CLASSES:
            centroids = np.linspace(-1, 1, k)
            label = np.abs(mean[:, None] - centroids[None]).argmin(1)
            share = float(1 - np.bincount(label, minlength=k).max() / count)
            edges = np.concatenate([[-np.inf], (centroids[1:] + centroids[:-1]) / 2, [np.inf]])
            law = float(1 - np.diff(ndtr(edges / np.sqrt(VARIANCE / d))).max())
            checks.append(near(f"d = {d}, {k} classes", share, law, absolute=0.03, said=""))
            row.append(share)
        found.append(row)
    rates = np.array(found)
    checks.append(at_most("lowest rate, d = 256, over chance", float(rates[-1, 0] / 0.8), 0.05))
    arrays = {"d": np.array(dimensions), "classes": np.array(CLASSES), "rate": rates}
    return Outcome(tuple(checks), arrays, {"targets": count}, seeds=(2,))


def draw_majority(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """A line for each number of classes."""
    axes = figure.subplots()
    colours = (QUIET, INK, TEST, TRAIN)
    for k, line, colour in zip(arrays["classes"], arrays["rate"].T, colours, strict=True):
        axes.semilogx(arrays["d"], line, "o-", color=colour, markersize=4, label=f"{k} classes")
    axes.set_xticks(arrays["d"], [str(d) for d in arrays["d"]])
    axes.minorticks_off()
    axes.set_ylim(0, 1)
    axes.set_xlabel("dimension d")
    axes.set_ylabel("failure rate of the commonest class")
    axes.legend(frameon=False, loc="lower left")


def constant_pieces(scale: Scale) -> Outcome:
    """The error of the best piecewise constant function on a grid, for an affine target."""
    rng, checks = np.random.default_rng(3), []
    count = {"smoke": 50_000, "small": 500_000, "paper": 5_000_000}[scale]
    slope = 1.7
    for dm in (1, 3, 8):
        for delta in (0.5, 0.1, 0.02):
            x = rng.uniform(size=(count, dm))
            middle = (np.floor(x / delta) + 0.5) * delta
            error = slope * (x - middle).sum(1)
            found = float(np.sqrt(np.mean(error**2)))
            expected = slope * delta * np.sqrt(dm / 12)
            name = f"dm = {dm}, delta = {delta:g}"
            checks.append(
                near(f"root mean square, {name}", found / expected, 1.0, absolute=0.02, said="")
            )
            largest = float(np.abs(error).max() / (slope * np.sqrt(dm) * delta * np.sqrt(dm) / 2))
            checks.append(at_most(f"largest over C delta sqrt(dm)/2, {name}", largest, 1.0 + 1e-12))
    return Outcome(tuple(checks), settings={"slope": slope, "points": count}, seeds=(3,))


RELEASED = "released code, HEAD of January 2024; the finding is ours"

NATH_2024 = Paper(
    key="nath2024",
    title="Transformers are expressive, but are they expressive enough for regression?",
    authors="Nath, Khadilkar, Bhattacharyya",
    link="https://arxiv.org/abs/2402.15478",
    summary="A transformer approximates smooth functions by piecewise constant ones, it is argued, "
    "for which it needs exponentially many layers; in experiments regression fails and the "
    "quantised form of it does better.",
    found="In the released code the output is a LayerNorm as wide as the target, which alone "
    "leaves more than 1/d of the variance; the failure rate depends on how many labels it is "
    "taken over; and in high dimensions the commonest class is most of the labels. The code lacks "
    "its model file and stops at its first evaluation. We had no access to the paper's tables.",
    claims=(
        Claim(
            id="output-floor",
            statement="Where a LayerNorm as wide as the target ends the model, no weights have a "
            "mean squared error below a floor, about 1/d of the variance or a little more.",
            place=RELEASED,
            tolerance="from the closed form with one gain for all coordinates to 5 % below it",
            measure=output_floor,
            draw=draw_output_floor,
            caption="Least error of normalised outputs for x + cbrt(x), as a share of its "
            "variance.",
        ),
        Claim(
            id="failure-rate",
            statement="The failure rate of a regressor, the share of predictions whose nearest "
            "label is another's, depends on the number of labels and on d as much as on its error.",
            place=RELEASED,
            tolerance="the chance that a ball is empty of other labels, from their density: .03 "
            "and four standard errors",
            measure=failure_rate,
        ),
        Claim(
            id="majority",
            statement="Naming the commonest class has low failure rates in high dimensions, since "
            "only the mean coordinate decides on the class.",
            place=RELEASED,
            tolerance="the normal law of the mean coordinate, .03",
            measure=majority,
            draw=draw_majority,
            caption="Failure rate of the commonest class, for centroids on the diagonal.",
        ),
        Claim(
            id="constant-pieces",
            statement="Pieces of length delta leave an affine target of slope c an error of "
            "c delta sqrt(dm/12), and at most C delta sqrt(dm)/2 anywhere.",
            place="Definition 3.1, Theorem 4.1 (as restated by reviews; the constant is derived "
            "here)",
            tolerance="2 % of sampled means",
            measure=constant_pieces,
        ),
        Claim(
            id="layers",
            statement="Transformers need on the order of m (1/delta)^(dm) layers, with delta "
            "shrinking exponentially in m.",
            place="Theorem 4.1 (as restated by the abstract and reviews; constants not seen)",
            tolerance="not settled: the theorem was not available to us",
        ),
        Claim(
            id="smooth-targets",
            statement="Trained transformers fail at smooth targets.",
            place="Section 5, tables (not seen)",
            tolerance="error at d = 4 falls by a factor of 50 with a wider model and a linear "
            "head, if the failure is the output's",
            trains=True,
        ),
        Claim(
            id="quantised-targets",
            statement="Trained transformers do better at the same targets as classes.",
            place="Section 5, tables (not seen)",
            tolerance="failure rate against that of the commonest class",
            trains=True,
        ),
    ),
)
