"""Wu et al.: gradient descent on a network by ordinary softmax attention, with explicit weights."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from innerloop import constructions
from innerloop.papers.claims import Claim, Outcome, Scale, at_most, near
from innerloop.papers.wu2024.network import descend, predictions, problem
from innerloop.report.canvas import INK, QUIET, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATE, BOX, SHARPNESS = 0.1, 1.2, 1e4
CASES = {
    "smoke": ((3, 2),),
    "small": ((2, 1), (2, 5), (3, 2), (3, 10), (4, 2), (6, 2)),
    "paper": tuple((depth, steps) for depth in (2, 3, 4, 6) for steps in (1, 2, 5, 10)),
}
SINKS = ((1e-2, 25.0), (1e-3, 30.0), (1e-4, 33.0))


def theorem_2(scale: Scale) -> Outcome:
    """The error of predictions as the logits shrink."""
    checks, lines = [], []
    for depth, steps in CASES[scale]:
        weights, prompt = problem(depth)
        truth = predictions(descend(weights, prompt, rate=RATE, steps=steps, box=BOX)[-1], prompt)

        def error(beta, sink, weights=weights, prompt=prompt, steps=steps, truth=truth):
            model = constructions.deep_softmax(
                weights,
                steps=steps,
                learning_rate=RATE,
                beta=beta,
                sink=sink,
                sharpness=SHARPNESS,
                box=BOX,
            )
            return np.abs(model(prompt) - truth).max()

        errors = np.array([error(beta, sink) for beta, sink in SINKS])
        name = f"N = {depth}, L = {steps}"
        slope = np.polyfit(np.log([beta for beta, _ in SINKS]), np.log(errors), 1)[0]
        checks.append(
            near(f"slope of the error in beta, {name}", slope, 2.0, absolute=0.2, said="")
        )
        checks.append(at_most(f"error at beta = 1e-4, {name}", errors[-1], 1e-6))
        lines.append(errors)
    arrays = {
        "beta": np.array([beta for beta, _ in SINKS]),
        "errors": np.array(lines),
        "depth": np.array([depth for depth, _ in CASES[scale]]),
        "steps": np.array([steps for _, steps in CASES[scale]]),
    }
    settings = {"step size": RATE, "box": BOX, "sharpness": SHARPNESS, "examples": 6, "K": 4}
    return Outcome(tuple(checks), arrays, settings)


def draw_theorem_2(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Errors against beta, over lines of slope two."""
    axes = figure.subplots()
    beta, errors = arrays["beta"], arrays["errors"]
    colours = dict(
        zip(sorted(set(arrays["depth"].tolist())), (INK, TEST, TRAIN, "#2e7d5b"), strict=False)
    )
    guide = errors.min(axis=0)[0] / 3 * (beta / beta[0]) ** 2
    axes.loglog(beta, guide, color=QUIET, linestyle=":", label="slope 2")
    for depth, steps, line in zip(arrays["depth"], arrays["steps"], errors, strict=True):
        label = f"N = {depth}, L = {steps}"
        axes.loglog(beta, line, "o-", color=colours[int(depth)], markersize=4, label=label)
    axes.set_xlabel("beta, the scale of the logits")
    axes.set_ylabel("largest error of a prediction")
    axes.legend(frameon=False)


CLAIMS = (
    Claim(
        id="theorem-2",
        statement="Ordinary softmax attention takes the same gradient steps, as nearly as wanted: "
        "here by explicit weights, 2N + 1 blocks a step, with errors that fall like beta².",
        place="Theorem 2 and its Appendix D form, Theorem 5",
        tolerance="slope 2 within 0.2 over two decades; the least error is above rounding",
        measure=theorem_2,
        draw=draw_theorem_2,
        caption="Largest error of a prediction of the softmax transformer against gradient descent "
        "in numpy, for smaller and smaller logits.",
        correction="The paper's 4 layers a step exist by universal approximation, with an MLP that "
        "stores the step on a grid of exponentially many points; these weights are written down, "
        "need one sink token, and take 2N + 1 blocks.",
    ),
)
