r"""Which step of one algorithm is most like which step of another (Figure 26, and Section 4).

Each prefix of a prompt predicts its next example. In the eigenbasis of a prefix's `S = X^T X` an
algorithm that starts from zero leaves of the task a factor an eigenvalue, so that its errors are

    e = -sum_j r(s_j) <x_q, v_j> <v_j, w>     GD (1 - eta s)^k     Newton (1 - a s^2)^(2^k)

and `SimE` is the mean over prompts of the cosine between two algorithms' errors over all prefixes.
Step sizes are those of the released code: `eta = 0.01` and `a = 1 / |S S^T|`, Frobenius norm.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

import innerloop as il
from innerloop import constructions
from innerloop.constructions import newton, spectral_residuals, whitened_spectra
from innerloop.papers.claims import Outcome, Scale, at_least, at_most, near
from innerloop.papers.sampled_loss import loss_of_weights
from innerloop.report.canvas import QUIET, REGISTER, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, N = 20, 40
PROMPTS = {"smoke": 60, "small": 320, "paper": 3_200}
SPECTRA = {"smoke": 1_000, "small": 10_000, "paper": 30_000}
RATE = 0.01
NEWTON = np.arange(25)
DESCENT = np.unique(np.geomspace(1, 2**13, 105).round()).astype(int)
CONJUGATE = np.arange(31)
SE = 4.5


class Prefixes(NamedTuple):
    """Prompts prefix by prefix: eigenvalues, and the task and next covariate along eigenvectors."""

    spectra: Float[np.ndarray, "b n d"]
    task: Float[np.ndarray, "b n d"]
    query: Float[np.ndarray, "b n d"]

    def errors(self, left: Float[np.ndarray, "b n d"]) -> Float[np.ndarray, "b n"]:
        """The errors of an algorithm that leaves these factors of the task."""
        return -np.sum(left * self.task * self.query, axis=2)

    @property
    def scale(self) -> Float[np.ndarray, "b n 1"]:
        """Newton's `a`, a prefix at a time."""
        return 1 / np.sum(self.spectra**4, axis=2, keepdims=True) ** 0.5

    def newton(self) -> Float[np.ndarray, "k b n"]:
        """Errors of Newton's iterates."""
        first = 1 - self.scale * self.spectra**2
        return np.stack([self.errors(first ** (2**k)) for k in NEWTON])

    def descent(self, rate: float) -> Float[np.ndarray, "k b n"]:
        """Errors of gradient descent."""
        return np.stack([self.errors((1 - rate * self.spectra) ** k) for k in DESCENT])

    def conjugate(self) -> Float[np.ndarray, "k b n"]:
        """Errors of conjugate gradients, run in the eigenbasis."""
        w = np.zeros_like(self.task)
        residual = direction = self.spectra * self.task
        norm, found = np.sum(residual**2, axis=2, keepdims=True), []
        for _ in CONJUGATE:
            found.append(-np.sum((self.task - w) * self.query, axis=2))
            image = self.spectra * direction
            curvature = np.sum(direction * image, axis=2, keepdims=True)
            length = np.divide(norm, curvature, out=np.zeros_like(norm), where=norm > 1e-20)
            w, residual = w + length * direction, residual - length * image
            after = np.sum(residual**2, axis=2, keepdims=True)
            turn = np.divide(after, norm, out=np.zeros_like(norm), where=norm > 1e-20)
            direction, norm = residual + turn * direction, after
        return np.stack(found)

    def least_squares(self) -> Float[np.ndarray, "one b n"]:
        """Errors of the solution of smallest norm."""
        unseen = np.arange(D) < D - np.arange(1, N + 1)[:, None]  # eigenvalues rise from zeros
        return self.errors(np.broadcast_to(unseen, self.spectra.shape).astype(float))[None]


def prefixes(rng: np.random.Generator, prompts: int, deviations: np.ndarray) -> Prefixes:
    """Prompts of covariates with these standard deviations, and tasks `N(0, I)`."""
    x = rng.normal(size=(prompts, N + 1, D)) * deviations
    w = rng.normal(size=(prompts, D))
    moments = np.cumsum(np.einsum("bni,bnj->bnij", x[:, :N], x[:, :N]), axis=1)
    spectra, basis = np.linalg.eigh(moments)
    task = np.einsum("bnij,bi->bnj", basis, w)
    return Prefixes(np.maximum(spectra, 0), task, np.einsum("bnij,bni->bnj", basis, x[:, 1:]))


def similarity(
    one: Float[np.ndarray, "j b n"], other: Float[np.ndarray, "k b n"]
) -> Float[np.ndarray, "j k"]:
    """`SimE` of all pairs of iterates."""
    unit = [e / np.maximum(np.linalg.norm(e, axis=2, keepdims=True), 1e-300) for e in (one, other)]
    return np.einsum("jbn,kbn->jk", *unit) / one.shape[1]


def figure_26(scale: Scale) -> Outcome:
    """Best matches of Newton's iterates among those of descent, Newton and conjugate gradients."""
    rng = np.random.default_rng(35)
    given = prefixes(rng, PROMPTS[scale], np.ones(D))
    iterates = given.newton()
    maps = {
        "newton": (similarity(iterates, iterates), NEWTON),
        "descent": (similarity(iterates, given.descent(RATE)), DESCENT),
        "conjugate": (similarity(iterates, given.conjugate()), CONJUGATE),
    }
    match = {name: steps[table.argmax(axis=1)] for name, (table, steps) in maps.items()}
    middle = (NEWTON >= 6) & (NEWTON <= 22)
    doubling, straight = _line(NEWTON[middle], np.log2(match["descent"][middle]))
    slope, linear = _line(NEWTON[middle], match["conjugate"][middle])
    checks = (
        near(
            "descent: slope of log2 of the steps, a Newton step",
            doubling,
            0.5,
            absolute=0.1,
            said="exponential",
        ),
        at_least("descent: R^2 of that line", straight, 0.97),
        at_most(
            "Newton: distance of the match from the diagonal, k <= 22",
            float(np.abs(match["newton"] - NEWTON)[:23].max()),
            0.0,
        ),
        near(
            "conjugate gradients: slope of the steps, a Newton step",
            slope,
            1.0,
            absolute=0.35,
            said="linear",
        ),
        at_least("conjugate gradients: R^2 of that line", linear, 0.97),
        at_most("Newton's errors less those of its network", _through_weights(rng), 1e-9),
    )
    arrays = {"steps": NEWTON, "descent": match["descent"], "conjugate": match["conjugate"]}
    arrays |= {f"peak of {name}": table.max(axis=1) for name, (table, _) in maps.items()}
    settings = {"d": D, "n": N, "prompts": PROMPTS[scale], "eta": RATE}
    return Outcome(checks, arrays, settings, seeds=(35,))


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The slope of the least-squares line, and its R^2."""
    slope = np.polyfit(x, y, 1)[0]
    return float(slope), float(np.corrcoef(x, y)[0, 1] ** 2)


def _through_weights(rng: np.random.Generator) -> float:
    """Errors of one prefix by the eigenbasis and by the network; its `S` is a mean over it."""
    x, w = rng.normal(size=(N + 1, D)), rng.normal(size=D)
    spectra, basis = np.linalg.eigh(x[:N].T @ x[:N])
    given = Prefixes(spectra[None, None], (w @ basis)[None, None], (x[N] @ basis)[None, None])
    prompt = il.Prompt(x[:N], x[:N] @ w[:, None], x[N:])
    model = newton(d=D, p=1, steps=8, scale=float(given.scale[0, 0, 0] * N**2), relu=False)
    error = float(model(prompt)[0, 0]) - float(x[N] @ w)
    return abs(error - float(given.newton()[8, 0, 0]))


def conditioning(scale: Scale) -> Outcome:
    """Steps until errors are like those of least squares, for two covariances."""
    rng = np.random.default_rng(36)
    bent = np.array([10.0] * (D // 2) + [1.0] * (D // 2))
    bent *= (D / np.sum(bent**2)) ** 0.5
    reached = {}
    for name, deviations in (("isotropic", np.ones(D)), ("ill-conditioned", bent)):
        given = prefixes(rng, PROMPTS[scale], deviations)
        target, rate = given.least_squares(), 1 / float(given.spectra.max())
        for method, errors, steps in (
            ("newton", given.newton(), NEWTON),
            ("descent", given.descent(rate), DESCENT),
        ):
            table = similarity(errors, target)[:, 0]
            reached[name, method] = _first(table, steps)
    few, many = (reached[name, "newton"] for name in ("isotropic", "ill-conditioned"))
    growth = reached["ill-conditioned", "descent"] / reached["isotropic", "descent"]
    checks = (
        at_most("Newton: steps at condition number 100", many, 21.0),
        at_most("Newton: steps more than at 1", many - few, 4.0),
        at_least("descent: steps over those at 1", growth, 2.0),
    )
    settings = {"d": D, "n": N, "prompts": PROMPTS[scale], "similarity reached": 0.98}
    return Outcome(checks, {}, settings, seeds=(36,))


def _first(table: np.ndarray, steps: np.ndarray) -> float:
    """Where a rising curve crosses 0.98, between grid points."""
    return float(np.interp(0.98, np.maximum.accumulate(table), steps))


def least_squares(scale: Scale) -> Outcome:
    """The reference curve: the error of least squares by the number of examples."""
    rng = np.random.default_rng(37)
    checks, count = [], 4 * PROMPTS[scale]
    for t in (5, 10, 15, 25):
        x, w = rng.normal(size=(count, t + 1, D)), rng.normal(size=(count, D))
        seen = np.linalg.pinv(x[:, :t]) @ np.einsum("bni,bi->bn", x[:, :t], w)[..., None]
        losses = np.einsum("bi,bi->b", x[:, t], seen[..., 0] - w) ** 2 / D
        room = SE * losses.std() / count**0.5 + 1e-12
        what = f"squared error over d, t = {t}"
        checks.append(near(what, float(losses.mean()), max(0.0, 1 - t / D), absolute=float(room)))
    return Outcome(tuple(checks), {}, {"d": D, "prompts": count}, seeds=(37,))


def linear_attention(scale: Scale) -> Outcome:
    """Best matches of four layers of GD++, and of as many steps of descent."""
    rng = np.random.default_rng(38)
    s = whitened_spectra(rng, prompts=SPECTRA[scale], n=N, d=D)
    starts = [
        np.concatenate([np.log([0.3, 1.5, 5.0, last]), [0.95, 0.8, 0.5]]) for last in (10, 20)
    ]
    best = constructions.best_spectral_steps(s, 4, transforms=True, starts=starts)
    given = Prefixes(N * s[:, None], *rng.normal(size=(2, len(s), 1, D)))
    left = np.asarray(spectral_residuals(s, best.steps, best.transforms))[1:]
    layers = np.stack([given.errors(r[:, None]) for r in left])
    losses = np.mean(np.sum(left**2, axis=2), axis=1) / D
    pooled = [
        e.swapaxes(1, 2).reshape(len(e), 1, -1)
        for e in (layers, given.newton(), given.descent(RATE))
    ]
    newtons = NEWTON[similarity(pooled[0], pooled[1]).argmax(axis=1)]
    descents = DESCENT[similarity(pooled[0], pooled[2]).argmax(axis=1)]
    depth = np.arange(1, 5)
    ratios = losses[:-1] / losses[1:]
    slope, straight = _line(depth, newtons)
    doubling, exponential = _line(depth, np.log2(descents))
    checks = (
        at_least(
            "growth of the loss's ratio from layer to layer, least",
            float((ratios[1:] / ratios[:-1]).min()),
            1.0,
        ),
        near("Newton steps a layer", slope, 3.5, absolute=1.5, said="about 3"),
        at_least("R^2 of Newton steps over layers", straight, 0.9),
        at_least("doublings of descent steps a layer", doubling, 1.5),
        at_least("R^2 of log2 of descent steps over layers", exponential, 0.9),
        loss_of_weights(best, rng, prompts=SPECTRA[scale], n=N, d=D),
    )
    arrays = {"layers": depth, "newton": newtons, "descent": descents, "losses": losses}
    settings = {"d": D, "n": N, "spectra": SPECTRA[scale]}
    return Outcome(checks, arrays, settings, seeds=(38,))


def draw_figure_26(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Best matches over Newton's steps: descent on the left, conjugate gradients on the right."""
    left, right = figure.subplots(1, 2)
    k = arrays["steps"]
    left.plot(k, arrays["descent"], "o", markersize=4, color=TRAIN)
    left.plot(k, 2 ** (k / 2), color=QUIET, linewidth=1, label="$2^{k/2}$")
    left.set_yscale("log", base=2)
    left.set_ylabel("steps of gradient descent")
    left.legend(frameon=False)
    right.plot(k, arrays["conjugate"], "o", markersize=4, color=TEST, label="conjugate gradients")
    right.plot(k, k, color=REGISTER, linewidth=1, label="Newton")
    right.set_ylabel("steps")
    right.legend(frameon=False)
    for axes in (left, right):
        axes.set_xlabel("steps k of Newton")


def draw_linear_attention(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Best matches and losses over layers."""
    left, right = figure.subplots(1, 2)
    depth = arrays["layers"]
    left.plot(depth, arrays["newton"], "o-", markersize=4, color=TEST, label="Newton")
    left.plot(depth, arrays["descent"], "o-", markersize=4, color=TRAIN, label="gradient descent")
    left.set_yscale("log", base=2)
    left.set_ylabel("steps that match best")
    left.legend(frameon=False)
    right.plot(depth, arrays["losses"], "o-", markersize=4, color=TEST)
    right.set_yscale("log")
    right.set_ylabel("squared error over d")
    for axes in (left, right):
        axes.set_xticks(depth)
        axes.set_xlabel("layers of linear attention")
