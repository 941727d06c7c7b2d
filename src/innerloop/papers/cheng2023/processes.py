r"""Gaussian processes on the sphere, their Bayes estimators, and what attention's iteration loses.

The prediction of attention with fixed covariates is linear in the targets, `m(X) y`, so the
expected loss over targets of a process with covariance `K` is exact for every context:

    E_y (m y - y_q)^2 = m K m^T - 2 m k_q + k_qq     m = r sum_l h_q (I - r H)^l

for the scores `H` of the context and `h_q` of the query. Bayes: `k_qq - k_q^T K^{-1} k_q`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from innerloop.papers.claims import Outcome, Scale, at_most, near
from innerloop.report.canvas import QUIET, REGISTER, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D = 5
BATCH = 30_000
CONTEXTS = {"smoke": 2_000, "small": 4_000, "paper": 20_000}
LINES = {
    "relu": {2: -0.218, 4: -0.470, 8: -1.164, 14: -1.727},
    "exp": {2: -0.284, 4: -0.705, 8: -1.405, 14: -2.126},
    "sum": {2: -0.121, 4: -0.845, 8: -3.546, 14: -7.637},
}
SHARES = {4: 0.02, 6: 0.17, 8: 0.55, 10: 0.90, 12: 0.99, 14: 1.0}
SE = 4.5


class Process(NamedTuple):
    """Covariances of contexts and a query, `n + 1` points each."""

    x: Float[np.ndarray, "b n+1 d"]
    covariance: Float[np.ndarray, "b n+1 n+1"]

    @property
    def n(self) -> int:
        """The number of context examples."""
        return self.x.shape[1] - 1

    @property
    def bayes(self) -> Float[np.ndarray, " b"]:
        """What the best estimator leaves, a context at a time."""
        query = self.covariance[:, -1, :-1]
        weights = np.linalg.pinv(self.covariance[:, :-1, :-1], hermitian=True, rcond=1e-11)
        return self.covariance[:, -1, -1] - np.einsum("bi,bij,bj->b", query, weights, query)

    def losses(self, m: Float[np.ndarray, "b n"]) -> Float[np.ndarray, " b"]:
        """The expected loss of predictions `m y`."""
        quadratic = np.einsum("bi,bij,bj->b", m, self.covariance[:, :-1, :-1], m)
        cross = np.einsum("bi,bi->b", m, self.covariance[:, -1, :-1])
        return quadratic - 2 * cross + self.covariance[:, -1, -1]


def scores(x: Float[np.ndarray, "b t d"], name: str) -> Float[np.ndarray, "b t t"]:
    """Scores of all points against all: the kernels, their sum, and softmax over the context."""
    dots = np.einsum("bid,bjd->bij", x, x)
    match name:
        case "relu":
            return np.maximum(dots, 0.0)
        case "exp":
            return np.exp(dots / 2)
        case "softmax":
            weights = np.exp(dots)
            return weights / weights[:, :, :-1].sum(axis=2, keepdims=True)
        case "sum":
            return scores(x[..., :2], "exp") + scores(x[..., 2:], "linear")
        case _:
            return dots


def process(rng: np.random.Generator, name: str, n: int, contexts: int) -> Process:
    """Points on the sphere; where the kernel is not positive its eigenvalues are made so."""
    x = rng.normal(size=(contexts, n + 1, D))
    x /= np.linalg.norm(x, axis=2, keepdims=True)
    covariance = scores(x, name)
    if name == "relu":
        eigenvalues, basis = np.linalg.eigh(covariance)
        covariance = np.einsum("bij,bj,bkj->bik", basis, np.abs(eigenvalues), basis)
    return Process(x, covariance)


def iterated(
    given: Process, name: str, rate: float, depths: tuple[int, ...]
) -> Float[np.ndarray, "depths b n"]:
    """The weights `m` of the targets after some numbers of steps."""
    every = scores(given.x, name)
    inner, power = every[:, :-1, :-1], every[:, -1, :-1]
    m, found = np.zeros_like(power), []
    for step in range(1, max(depths) + 1):
        m = m + rate * power
        power = power - rate * np.einsum("bi,bij->bj", power, inner)
        if step in depths:
            found.append(m)
    return np.stack(found)


def best_losses(
    given: Process, name: str, depths: tuple[int, ...], rates: np.ndarray
) -> tuple[Float[np.ndarray, " depths"], Float[np.ndarray, " depths"]]:
    """The least mean loss over constant rates for each depth, and the rate that has it."""
    with np.errstate(over="ignore", invalid="ignore"):
        table = np.array(
            [
                [given.losses(m).mean() for m in iterated(given, name, rate, depths)]
                for rate in rates
            ]
        )
    table = np.where(np.isfinite(table), table, np.inf)
    return table.min(axis=0), rates[table.argmin(axis=0)]


def rates_for(given: Process, name: str, count: int) -> Float[np.ndarray, " count"]:
    """Rates around the stable ones."""
    top = np.linalg.eigvals(scores(given.x[:50], name)[:, :-1, :-1]).real.max(axis=1).mean()
    return np.geomspace(0.02, 2.5, count) / top


def bayes_lines(scale: Scale) -> Outcome:
    """Logarithms of the Bayes estimators' mean losses, beside values computed elsewhere."""
    rng = np.random.default_rng(23)
    checks, arrays = [], {}
    for name, line in LINES.items():
        found = []
        for n, value in line.items():
            losses = process(rng, name, n, CONTEXTS[scale]).bayes
            error = losses.std() / losses.mean() / len(losses) ** 0.5
            found.append(np.log(losses.mean()))
            room = SE * (error**2 + (error**2 * CONTEXTS[scale] / CONTEXTS["paper"])) ** 0.5
            what = f"{name}, n = {n}, logarithm"
            checks.append(near(what, found[-1], value, absolute=room + 5e-4, said=""))
        arrays[name] = np.array(found)
    given = process(rng, "exp", 8, 50)
    precision = 1 / np.linalg.inv(given.covariance)[:, -1, -1]
    checks.append(
        at_most("exp: loss less the inverse precision", np.abs(given.bayes - precision).max(), 1e-9)
    )
    exact = process(rng, "linear", 8, CONTEXTS[scale])
    checks.append(at_most("linear, n = 8: the loss", float(exact.bayes.max()), 1e-10))
    errors = _released_errors(rng)
    spread = SE * errors.std() / errors.mean() / len(errors) ** 0.5
    floor = float(np.log(errors.mean()))
    what = "linear, n = 8, in float32 with the released jitters, logarithm"
    checks.append(near(what, floor, -14.9, absolute=float(spread)))
    arrays["n"] = np.array(list(LINES["exp"]))
    return Outcome(tuple(checks), arrays, {"d": D, "contexts": CONTEXTS[scale]}, seeds=(23,))


def _released_errors(rng: np.random.Generator) -> Float[np.ndarray, " b"]:
    """Squared errors of the released estimator: 1e-8 on the data's covariance, 1e-4 on its own."""
    x = process(rng, "linear", 8, BATCH).x.astype(np.float32)
    covariance = scores(x, "linear") + np.float32(1e-8) * np.eye(9, dtype=np.float32)
    s, basis = np.linalg.eigh(covariance)
    noise = rng.normal(size=s.shape).astype(np.float32)
    y = np.einsum("bij,bj->bi", basis, np.sqrt(np.abs(s)) * noise)
    system = covariance[:, :-1, :-1] + np.float32(1e-4) * np.eye(8, dtype=np.float32)
    dual = np.linalg.solve(system, y[:, :-1, None])[..., 0]
    return (np.einsum("bi,bi->b", covariance[:, -1, :-1], dual) - y[:, -1]) ** 2


def draw_bayes_lines(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Bayes losses over the number of examples."""
    axes = figure.subplots()
    names = {"relu": (TRAIN, "ReLU"), "exp": (TEST, "exp"), "sum": (REGISTER, "exp + linear")}
    for key, (colour, name) in names.items():
        axes.plot(arrays["n"], list(LINES[key].values()), "x", color=QUIET)
        axes.plot(arrays["n"], arrays[key], "o-", markersize=4, color=colour, label=name)
    axes.set_xticks(arrays["n"])
    axes.set_xlabel("context examples n")
    axes.set_ylabel("logarithm of the Bayes loss")
    axes.legend(frameon=False)


def relu_gram(scale: Scale) -> Outcome:
    """How often Gram matrices of ReLU scores have a negative eigenvalue."""
    rng = np.random.default_rng(24)
    checks, found = [], []
    for n, share in SHARES.items():
        x = rng.normal(size=(CONTEXTS[scale], n + 1, D))
        x /= np.linalg.norm(x, axis=2, keepdims=True)
        negative = (np.linalg.eigvalsh(scores(x, "relu"))[:, 0] < -1e-12).mean()
        error = (share * (1 - share) / CONTEXTS[scale]) ** 0.5
        room = SE * error + 0.005
        checks.append(near(f"share for n = {n}", float(negative), share, absolute=room, said=""))
        found.append(negative)
    arrays = {"n": np.array(list(SHARES)), "share": np.array(found)}
    return Outcome(tuple(checks), arrays, {"d": D, "contexts": CONTEXTS[scale]}, seeds=(24,))
