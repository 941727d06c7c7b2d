r"""Wu et al.: smooth activations, which sums of ReLUs only approximate, and how errors grow.

Measured <= the recursion by norms (`constructions.step_errors`) <= what the paper prints with
`P = max(K, d)` (`constructions.printed_errors`), layer by layer.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop import constructions
from innerloop.constructions import StepErrors
from innerloop.papers.claims import Claim, Outcome, Scale, at_most, near
from innerloop.papers.wu2024.network import Weights, descend, flat, forward, gradient, problem
from innerloop.prompts import Prompt
from innerloop.report.canvas import INK, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RADIUS, EXAMPLES, ROOM = 4.0, 6, 0.1
DEPTHS = {"smoke": (2,), "small": (2, 3, 4), "paper": (2, 3, 4, 6)}
KNOTS = {"smoke": (8, 32), "small": (8, 16, 32, 64), "paper": (8, 16, 32, 64, 128)}
STEPS = {"smoke": (1, 2), "small": (1, 2, 3, 5, 8), "paper": (1, 2, 3, 5, 8, 13, 20)}
SETTINGS = {"range of the knots": RADIUS, "examples": EXAMPLES, "K": 4, "activation": "sigmoid"}


def sigmoid_problem(depth: int) -> tuple[Weights, Prompt]:
    """A sigmoid network and a prompt."""
    weights, prompt = problem(depth)
    return [v / 1.5 for v in weights], prompt


def after(
    weights: Weights, prompt: Prompt, *, intervals: int, steps: int, rate: float
) -> Float[np.ndarray, " size"]:
    """The weights that the query holds after `steps` steps of Theorem 1."""
    model = constructions.deep_gradient_descent(
        weights,
        examples=EXAMPLES,
        steps=steps,
        learning_rate=rate,
        activation=constructions.sigmoid(RADIUS, intervals),
        box=50.0,
    )
    start = prompt.d + prompt.p
    return np.asarray(model.stream(prompt))[0, start : start + sum(v.size for v in weights)]


def bounds(
    weights: Weights, prompt: Prompt, intervals: int, *, growth: float
) -> tuple[StepErrors, StepErrors]:
    """What norms give, and what the paper prints with `P = growth`, for these knots."""
    known = constructions.sigmoid_smoothness(
        constructions.interpolation_error(constructions.SIGMOID_CURVATURE, RADIUS, intervals),
        constructions.interpolation_error(0.125, RADIUS, intervals),
    )
    residual = forward(weights, np.asarray(prompt.x), "sigmoid")[1][-1] - prompt.y
    tight = constructions.step_errors(
        weights,
        known,
        inputs=float(np.linalg.norm(prompt.x, axis=1).max()),
        residual=2 * float(np.linalg.norm(residual, axis=1).max()) + ROOM,
        slope=2.0,
    )
    printed = constructions.printed_errors(
        known,
        depth=len(weights),
        width=4,
        growth=growth,
        row_bound=max(float(np.linalg.norm(v, axis=1).max()) for v in weights),
        residual=2 * float(np.abs(residual).max()) + ROOM,
        slope=2.0,
    )
    return tight, printed


def theorem_1_smooth(scale: Scale) -> Outcome:
    """One step's error in the gradient, measured, by norms, and as printed with `P = max(K, d)`."""
    checks, found = [], []
    for depth in DEPTHS[scale]:
        weights, prompt = sigmoid_problem(depth)
        exact = flat(gradient(weights, prompt, "sigmoid"))
        rows = []
        for knots in KNOTS[scale]:
            moved = flat(weights) - after(weights, prompt, intervals=knots, steps=1, rate=1.0)
            tight, printed = bounds(weights, prompt, knots, growth=4.0)
            error = float(np.linalg.norm(moved - exact))
            name = f"N = {depth}, {knots} intervals"
            checks.append(at_most(f"error of the gradient, {name}", error, tight.gradient))
            checks.append(at_most(f"bound by norms, {name}", tight.gradient, printed.gradient))
            rows.append((error, tight.gradient, printed.gradient))
        slope = np.polyfit(np.log(KNOTS[scale]), np.log([row[0] for row in rows]), 1)[0]
        checks.append(
            near(f"slope of the error in knots, N = {depth}", slope, -2.0, absolute=0.4, said="")
        )
        found.append(rows)
    arrays = {
        "knots": np.array(KNOTS[scale]),
        "depth": np.array(DEPTHS[scale]),
        "found": np.array(found),
    }
    return Outcome(tuple(checks), arrays, SETTINGS)


def draw_theorem_1_smooth(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """A panel a depth: measured error under the two bounds."""
    panels = figure.subplots(1, len(arrays["depth"]), sharey=True, squeeze=False)[0]
    names = ("measured", "bound by norms", "printed, P = max(K, d)")
    for axes, depth, rows in zip(panels, arrays["depth"], arrays["found"], strict=True):
        for line, name, colour in zip(rows.T, names, (TEST, INK, TRAIN), strict=True):
            axes.loglog(arrays["knots"], line, "o-", color=colour, markersize=4, label=name)
        axes.set_xticks(arrays["knots"], [str(k) for k in arrays["knots"]])
        axes.minorticks_off()
        axes.set_title(f"N = {depth}")
        axes.set_xlabel("intervals")
    panels[0].set_ylabel("error of the gradient, 2-norm")
    panels[0].legend(frameon=False, loc="lower left", fontsize="small")


def lemmas_2_to_4(scale: Scale) -> Outcome:
    """Errors of the network's values, which another reading of the same layers leaves at the end.

    The read-out repeats Lemma 2's layers, so with no steps the query holds `p_bar(j)` of its own.
    """
    checks = []
    for depth in DEPTHS[scale]:
        weights, prompt = sigmoid_problem(depth)
        queries = forward(weights, np.asarray(prompt.xq), "sigmoid")[1]
        for knots in KNOTS[scale][: 1 if scale == "smoke" else None]:
            model = constructions.deep_gradient_descent(
                weights,
                examples=EXAMPLES,
                steps=0,
                learning_rate=1.0,
                activation=constructions.sigmoid(RADIUS, knots),
                box=50.0,
            )
            stream = model.stream(prompt)
            tight, printed = bounds(weights, prompt, knots, growth=4.0)
            place = prompt.d + prompt.p + sum(v.size for v in weights)
            for j, (truth, norm, said) in enumerate(
                zip(queries[1:], tight.forward, printed.forward, strict=True), start=1
            ):
                held = stream[:, place : place + truth.shape[1]]
                place += truth.shape[1]
                error = np.linalg.norm(held - truth, axis=1).max()
                name = f"p({j}), N = {depth}, {knots} intervals"
                checks.append(at_most(f"error of {name}", error, norm))
                checks.append(at_most(f"bound by norms, {name}", norm, said))
    return Outcome(tuple(checks), settings=SETTINGS)


def _loss(shapes: list[tuple[int, int]], prompt: Prompt):
    x, y = jnp.asarray(prompt.x), jnp.asarray(prompt.y)

    def loss(w: Float[Array, " size"]) -> Float[Array, ""]:
        p, start = x, 0
        for a, b in shapes:
            p = jax.nn.sigmoid(p @ w[start : start + a * b].reshape(a, b).T)
            start += a * b
        return jnp.sum((p - y) ** 2) / (2 * len(x))

    return loss


def corollary_1_1(scale: Scale) -> Outcome:
    """The distance to gradient descent after `l` steps, against the bounds on the path."""
    knots, rate, steps = 16, 1.0, STEPS[scale]
    weights, prompt = sigmoid_problem(2)
    loss = _loss([v.shape for v in weights], prompt)
    hessian = jax.jit(lambda w: jnp.linalg.norm(jax.hessian(loss)(w), 2))
    path = descend(weights, prompt, rate=rate, steps=steps[-1], box=50.0, rule="sigmoid")
    held = [after(weights, prompt, intervals=knots, steps=k, rate=rate) for k in steps]
    visited = [flat(w) for w in path] + held
    smoothness = 1.1 * max(float(hessian(jnp.asarray(w))) for w in visited)
    errors = [float(np.linalg.norm(w - flat(path[k]))) for w, k in zip(held, steps, strict=True)]
    one = max(_one_step_error(w, prompt, knots, weights) for w in (flat(weights), *held[:-1]))
    tight, printed = (
        [
            constructions.trajectory_bound(
                one, smoothness=smoothness, learning_rate=rate, steps=k, printed=as_printed
            )
            for k in steps
        ]
        for as_printed in (False, True)
    )
    checks = [
        check
        for k, error, low, high in zip(steps, errors, tight, printed, strict=True)
        for check in (
            at_most(f"distance after {k} steps", error, low * (1 + 1e-9)),
            at_most(f"our bound less the printed one, {k} steps", low - high, 0.0),
        )
    ]
    arrays = {
        "steps": np.array(steps),
        "errors": np.array(errors),
        "tight": np.array(tight),
        "printed": np.array(printed),
    }
    return Outcome(
        tuple(checks), arrays, SETTINGS | {"N": 2, "intervals": knots, "step size": rate}
    )


def _one_step_error(
    w: Float[np.ndarray, " size"], prompt: Prompt, knots: int, like: Weights
) -> float:
    """How wrong the construction's gradient is at `w`."""
    matrices, start = [], 0
    for v in like:
        matrices.append(w[start : start + v.size].reshape(v.shape))
        start += v.size
    moved = w - after(matrices, prompt, intervals=knots, steps=1, rate=1.0)
    return float(np.linalg.norm(moved - flat(gradient(matrices, prompt, "sigmoid"))))


def draw_corollary_1_1(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Distances to gradient descent under the two bounds."""
    axes = figure.subplots()
    for name, label, colour in (
        ("errors", "measured", TEST),
        ("tight", "ε((1 + ηL)ˡ - 1)/L", INK),
        ("printed", "printed, ε(1 + ηL)ˡ/L", TRAIN),
    ):
        axes.semilogy(arrays["steps"], arrays[name], "o-", color=colour, markersize=4, label=label)
    axes.set_xlabel("gradient steps")
    axes.set_ylabel("distance to gradient descent")
    axes.legend(frameon=False)


CLAIMS = (
    Claim(
        id="lemma-2",
        statement="Sums of ReLUs within eps of a smooth activation give hidden values within "
        "sqrt(K) eps times a geometric sum in sqrt(K) L B_v, layer by layer.",
        place="Lemma 2",
        tolerance="the bounds themselves, by norms and as printed",
        measure=lemmas_2_to_4,
    ),
    Claim(
        id="theorem-1-smooth",
        statement="For a smooth activation one step is gradient descent with an error in the "
        "gradient that the constants of Lemmas 2 to 6 bound.",
        place="Theorem 1, Lemmas 2 to 6",
        tolerance="the bounds themselves; slope -2 in the number of knots within 0.4, since knots "
        "are few",
        measure=theorem_1_smooth,
        draw=draw_theorem_1_smooth,
        caption="Error of the gradient that one step of the transformer takes, under the recursion "
        "by norms and the printed bound with P = max(K, d); sigmoid networks.",
        correction="P = max(sqrt K, sqrt d) has to be max(K, d) (see growth-constant). Explicit "
        "knots need O(eps^-1/2) ReLUs in place of O(eps^-2).",
    ),
    Claim(
        id="corollary-1-1",
        statement="Steps with gradients wrong by eps stay within eps (1 + eta L)^l / L of gradient "
        "descent after l steps.",
        place="Corollary 1.1, Lemma 14",
        tolerance="the bounds themselves, with L from Hessians along the path and a tenth more",
        measure=corollary_1_1,
        draw=draw_corollary_1_1,
        caption="Distance between the weights held by the transformer and those of gradient "
        "descent, under both bounds.",
        correction="The n of (1 + n L)^l is eta, and eta <= L is eta <= 1/L; eps ((1 + eta L)^l - "
        "1) / L holds too and is smaller.",
    ),
)
