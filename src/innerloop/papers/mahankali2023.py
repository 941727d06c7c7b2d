"""Mahankali, Hashimoto and Ma (2023): one step of gradient descent is the best single layer."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from innerloop.constructions import linear_optimum, preconditioned_gradient_descent
from innerloop.papers.claims import Claim, Outcome, Paper, Scale, at_least, at_most, near, untrained
from innerloop.papers.linear_tasks import predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, NOISE = 5, 0.25
LENGTHS = (2, 5, 11, 23, 47)
PROMPTS = {"smoke": 20_000, "small": 400_000, "paper": 10_000_000}
BATCH = 20_000
SE = 4.0
FULL_D, N, UNITS, BATCHES = 3, 11, 5, 20
COVARIANCE = np.diag([2.0, 1.0, 0.25])
LOSS_ROOM = {"smoke": 0.1, "small": 0.02, "paper": 0.01}
TARGET_COLUMNS = [FULL_D + k * (2 * FULL_D + 1 - k) // 2 for k in range(FULL_D)]  # of x_k y


class Sampled(NamedTuple):
    """Contexts, and the weights with which the query's target is best predicted."""

    x: Float[np.ndarray, "b n d"]
    y: Float[np.ndarray, "b n"]
    target: Float[np.ndarray, "b d"]


def step_size(scale: Scale) -> Outcome:
    """`E[w_hat . X^T y] / E|X^T y|^2` by sampling, beside `1 / (n + d + 1 + s^2)`."""
    rng = np.random.default_rng(0)
    checks, found, errors = [], [], []
    for n in LENGTHS:
        estimate, error = _best_step(n, PROMPTS[scale], rng)
        expected = 1 / (n + D + 1 + NOISE)
        compiled = linear_optimum(np.eye(D), n, noise=NOISE).preconditioner[0, 0] / n
        checks.append(near(f"step size, n = {n}", estimate, expected, absolute=SE * error))
        checks.append(at_most(f"closed form less ours, n = {n}", abs(compiled - expected), 1e-14))
        found.append(estimate)
        errors.append(error)
    arrays = {"n": np.array(LENGTHS), "found": np.array(found), "error": np.array(errors)}
    settings = {"d": D, "noise variance": NOISE, "prompts": PROMPTS[scale]}
    return Outcome(tuple(checks), arrays, settings, seeds=(0,))


def _best_step(n: int, prompts: int, rng: np.random.Generator) -> tuple[float, float]:
    """The step that minimises the sampled loss, and its standard error by the delta method."""
    tops, bottoms = [], []
    for _ in range(prompts // BATCH):
        x, w = rng.normal(size=(BATCH, n, D)), rng.normal(size=(BATCH, D))
        y = np.einsum("bnd,bd->bn", x, w) + NOISE**0.5 * rng.normal(size=(BATCH, n))
        gradient = np.einsum("bnd,bn->bd", x, y)
        tops.append(np.sum(w * gradient, axis=1))
        bottoms.append(np.sum(gradient**2, axis=1))
    top, bottom = np.concatenate(tops), np.concatenate(bottoms)
    step = top.mean() / bottom.mean()
    spread = np.std(top - step * bottom) / (len(top) ** 0.5 * bottom.mean())
    return float(step), float(spread)


def draw_step_size(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Sampled step sizes over the closed form."""
    axes = figure.subplots()
    n = np.linspace(arrays["n"].min(), arrays["n"].max(), 200)
    axes.plot(n, 1 / (n + D + 1 + NOISE), color="#6b7783", label="1 / (n + d + 1 + s²)")
    bars = {"yerr": SE * arrays["error"], "fmt": "o", "color": "#0f62a8", "markersize": 4}
    axes.errorbar(arrays["n"], arrays["found"], **bars, label="best step on sampled prompts")
    axes.set_xlabel("context examples n")
    axes.set_ylabel("step size")
    axes.legend(frameon=False)


def best_layer(
    draw: Callable[[np.random.Generator, int], Sampled], prompts: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "d f"], Float[np.ndarray, "d f"]]:
    """The best linear map from all second moments of the tokens to the weights at the query.

    A layer of linear attention multiplies the query with entries of `sum_i e_i e_i^T`, for tokens
    `e = (x; y)`; whatever its matrices, it is such a map. So where the best map is one that a layer
    can have, no layer is better.

    Returns:
        Coefficients of `x x^T`, `x y` and `y^2` for each weight, and their standard errors.
    """
    found = []
    for _ in range(BATCHES):
        x, y, target = draw(rng, prompts // BATCHES)
        tokens = np.concatenate([x, y[..., None]], axis=2)
        moments = np.swapaxes(tokens, 1, 2) @ tokens
        upper = moments[:, *np.triu_indices(FULL_D + 1)]
        found.append(np.linalg.solve(upper.T @ upper, upper.T @ target).T)
    return np.mean(found, 0), np.std(found, 0, ddof=1) / BATCHES**0.5


def linear_prompts(rng: np.random.Generator, prompts: int) -> Sampled:
    """Isotropic covariates and tasks, noisy labels."""
    x, w = rng.normal(size=(prompts, N, FULL_D)), rng.normal(size=(prompts, FULL_D))
    y = np.einsum("bnd,bd->bn", x, w) + NOISE**0.5 * rng.normal(size=(prompts, N))
    return Sampled(x, y, w)


def whitened_prompts(rng: np.random.Generator, prompts: int) -> Sampled:
    """`x ~ N(0, S)` and `w ~ N(0, S^-1)`."""
    plain, root = linear_prompts(rng, prompts), np.sqrt(COVARIANCE)
    return Sampled(plain.x @ root, plain.y, plain.target @ np.linalg.inv(root))


def network_prompts(rng: np.random.Generator, prompts: int) -> Sampled:
    """Two-layer ReLU networks with random weights; the best linear fit of one is half its paths."""
    x = rng.normal(size=(prompts, N, FULL_D))
    hidden, out = rng.normal(size=(prompts, FULL_D, UNITS)), rng.normal(size=(prompts, UNITS))
    y = np.einsum("bnu,bu->bn", np.maximum(x @ hidden, 0), out)
    y = y + NOISE**0.5 * rng.normal(size=(prompts, N))
    return Sampled(x, y, np.einsum("bdu,bu->bd", hidden, out) / 2)


def whole_layer(scale: Scale) -> Outcome:
    """Case (i) over every layer: only `sum_i y_i x_i` counts, with the step of the closed form."""
    rng = np.random.default_rng(1)
    map_, error = best_layer(linear_prompts, PROMPTS[scale], rng)
    step = 1 / (N + FULL_D + 1 + NOISE)
    expected = np.zeros_like(map_)
    expected[:, TARGET_COLUMNS] = step * np.eye(FULL_D)
    checks = (
        at_most(
            "largest deviation in standard errors", np.max(np.abs(map_ - expected) / error), 5.0
        ),
        at_least("step size in standard errors", step / error[0, TARGET_COLUMNS[0]], 20.0),
    )
    settings = {"d": FULL_D, "n": N, "noise variance": NOISE, "prompts": PROMPTS[scale]}
    return Outcome(checks, {"map": map_, "error": error}, settings, seeds=(1,))


def preconditioned_step(scale: Scale) -> Outcome:
    """Case (ii): the best map, and the layer that has it beside the best plain gradient step."""
    rng = np.random.default_rng(2)
    map_, error = best_layer(whitened_prompts, PROMPTS[scale], rng)
    step = 1 / (N + FULL_D + 1 + NOISE)
    best = step * np.linalg.inv(COVARIANCE)
    expected = np.zeros_like(map_)
    expected[:, TARGET_COLUMNS] = best
    x, y, w = whitened_prompts(rng, PROMPTS[scale] // 10)
    gradient = np.einsum("bni,bn->bi", x, y)
    plain = np.sum(w @ COVARIANCE * gradient) / np.sum(gradient @ COVARIANCE * gradient)
    queries = np.broadcast_to(np.eye(FULL_D), (len(x), FULL_D, FULL_D))
    losses = {}
    for name, matrix in (("preconditioned", best), ("plain", plain * np.eye(FULL_D))):
        model = preconditioned_gradient_descent(N * matrix[None], p=1)
        wrong = predictions(model, x, y[..., None], queries)[..., 0] - w
        losses[name] = np.mean(np.einsum("bi,ij,bj->b", wrong, COVARIANCE, wrong))
    # Whitened, this is case (i): tr I (1 - n / (n + d + 1 + s^2)).
    least = FULL_D * (1 - N * step)
    checks = (
        at_most(
            "largest deviation in standard errors", np.max(np.abs(map_ - expected) / error), 5.0
        ),
        near(
            "loss of the layer", losses["preconditioned"], least, relative=LOSS_ROOM[scale], said=""
        ),
        at_least("loss of the best plain step over it", losses["plain"] / least, 1.2),
    )
    settings = {"S": "diag(2, 1, 0.25)", "n": N, "noise variance": NOISE, "prompts": PROMPTS[scale]}
    return Outcome(checks, {"map": map_, "error": error}, settings, seeds=(2,))


def network_targets(scale: Scale) -> Outcome:
    """Case (iii): the best map for random networks is a multiple of the plain gradient step."""
    map_, error = best_layer(network_prompts, PROMPTS[scale], np.random.default_rng(3))
    step = np.mean(np.diag(map_[:, TARGET_COLUMNS]))
    expected = np.zeros_like(map_)
    expected[:, TARGET_COLUMNS] = step * np.eye(FULL_D)
    checks = (
        at_most(
            "largest deviation in standard errors", np.max(np.abs(map_ - expected) / error), 5.0
        ),
        at_least("step size in standard errors", step / error[0, TARGET_COLUMNS[0]], 10.0),
    )
    settings = {"d": FULL_D, "n": N, "neurons": UNITS, "prompts": PROMPTS[scale]}
    return Outcome(checks, {"map": map_, "error": error}, settings, seeds=(3,))


def draw_map(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """The coefficients as an image, labelled by what they multiply."""
    axes = figure.subplots()
    size = np.abs(arrays["map"]).max()
    image = axes.imshow(arrays["map"], cmap="RdBu", vmin=-size, vmax=size, aspect="auto")
    rows, columns = np.triu_indices(FULL_D + 1)
    tokens = [f"x_{k + 1}" for k in range(FULL_D)] + ["y"]
    labels = [f"${tokens[i]} {tokens[j]}$" for i, j in zip(rows, columns, strict=True)]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(FULL_D), [f"$w_{k + 1}$" for k in range(FULL_D)])
    axes.set_xlabel("sum over the context of")
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="coefficient")


MAHANKALI_2023 = Paper(
    key="mahankali2023",
    title="One step of gradient descent is provably the optimal in-context learner with one layer "
    "of linear self-attention",
    authors="Mahankali, Hashimoto, Ma",
    link="https://arxiv.org/abs/2307.03576",
    summary="Among all single layers of linear self-attention, the one with the least loss on "
    "random linear regression does one step of gradient descent from zero on the context.",
    found="The optimal step size holds as stated; for isotropic covariates it has a closed form, "
    "1 / (n + d + 1 + s²), our derivation. All three cases hold among all maps from second moments "
    "of the tokens to weights, which every layer is one of. The abstract was read, not the proofs.",
    claims=(
        Claim(
            id="step-size",
            statement="For isotropic Gaussian covariates and tasks, labels with noise of variance "
            "s², the best layer takes one gradient step from zero on the sum of squares, of size "
            "E[w . Xᵀy] / E|Xᵀy|², which is 1 / (n + d + 1 + s²).",
            place="Theorem 1",
            tolerance=f"{SE:g} standard errors of the sampled ratio",
            measure=step_size,
            draw=draw_step_size,
            caption="The step size that minimises the loss on sampled prompts, with "
            f"{SE:g} standard errors, over the closed form.",
        ),
        Claim(
            id="whole-layer",
            statement="No layer of linear self-attention is better than that gradient step, "
            "whatever its matrices.",
            place="Theorem 1",
            tolerance="5 standard errors for each of 30 coefficients, from 20 batches",
            measure=whole_layer,
            draw=draw_map,
            caption="The best linear map from second moments of the tokens to weights: only the "
            "products of covariates with targets count, each for its own weight.",
        ),
        Claim(
            id="preconditioned",
            statement="For x ~ N(0, S) and w ~ N(0, S⁻¹) the best layer takes one gradient step "
            "preconditioned by S⁻¹.",
            place="Theorem 2; as the abstract restates it",
            tolerance="5 standard errors for each of 30 coefficients; the loss within "
            "2 % to 0.2 %, by scale; the step size is our closed form",
            measure=preconditioned_step,
            draw=draw_map,
            caption="The best map for covariates of variance 2, 1 and 1/4: the steps go with the "
            "inverse variances.",
        ),
        Claim(
            id="nonlinear-targets",
            statement="When targets are nonlinear functions of a rotation-invariant law, the best "
            "layer still takes one gradient step of least squares.",
            place="Theorem 3; as the abstract restates it",
            tolerance="5 standard errors for each of 30 coefficients, of random two-layer ReLU "
            "networks",
            measure=network_targets,
            draw=draw_map,
            caption="The best map for targets of random two-layer networks.",
        ),
        untrained(
            "trained-layer",
            "Training a layer on the loss arrives at these weights.",
            "Theorems 1 to 3",
        ),
    ),
)
