"""Appendix A.9: two softmax heads of opposite signs stand for one linear head."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from innerloop.constructions import softmax_gradient_descent
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most, near
from innerloop.papers.vonoswald2022.explicit import D, N, P, apart, descended, sampled
from innerloop.prompts import Prompt
from innerloop.report.canvas import QUIET, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATE, SINK = 0.9, 30.0
DELTAS = {"smoke": (1e-1, 1e-2), "small": (1.0, 1e-1, 1e-2, 1e-3, 1e-4)}
DELTAS["paper"] = (1.0, *np.logspace(-0.5, -5, 10).tolist())
DEPTHS = {"smoke": (1, 2), "small": (1, 2, 5), "paper": (1, 2, 5)}


def two_heads(scale: Scale) -> Outcome:
    """The error as the logits shrink, with a sink token and as printed, without one."""
    rng, checks, arrays = np.random.default_rng(0), [], {"delta": np.array(DELTAS[scale])}
    prompt = sampled(rng)
    centred = Prompt(prompt.x, prompt.y - prompt.y.mean(0, keepdims=True), prompt.xq)
    start = np.zeros((P, D))
    for steps in DEPTHS[scale]:
        rates = [RATE] * steps
        plain = descended(prompt, start, rates)
        pairs = [_pair(delta, steps, SINK)(prompt) for delta in DELTAS[scale]]
        errors = np.array([apart(found, plain) for found in pairs])
        arrays[f"with sink, K = {steps}"] = errors
        fit = (arrays["delta"] <= 0.1) & (arrays["delta"] >= 1e-3)
        slope = np.polyfit(np.log(arrays["delta"][fit]), np.log(errors[fit]), 1)[0]
        checks.append(near(f"order of the error in δ, K = {steps}", slope, 2.0, absolute=0.2))
    found = [_pair(delta, 1, None)(prompt) for delta in DELTAS[scale]]
    arrays["without"] = np.array([apart(f, descended(prompt, start, [RATE])) for f in found])
    arrays["without, centred"] = np.array(
        [apart(f, descended(centred, start, [RATE])) for f in found]
    )
    least = arrays["without"].min()
    checks.append(at_least("least error without a sink, K = 1", least, 1e-2, said="0 as δ → 0"))
    room = 10 * arrays["delta"].min() ** 2 + 1e-9
    error = arrays["without, centred"][np.argmin(arrays["delta"])]
    checks.append(at_most("its error from descent on centred targets", error, room))
    settings = {"sink logit": SINK, "N": N, "N_x": D, "N_y": P}
    return Outcome(tuple(checks), arrays, settings, seeds=(0,))


def _pair(delta: float, steps: int, sink: float | None):
    return softmax_gradient_descent(
        d=D, p=P, steps=steps, learning_rate=RATE, delta=delta, sink=sink
    )


def draw_two_heads(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Errors over the scale of the logits."""
    axes = figure.subplots()
    delta = arrays["delta"]
    for steps, style in ((1, "o-"), (2, "s-"), (5, "^-")):
        if (name := f"with sink, K = {steps}") in arrays:
            axes.loglog(delta, arrays[name], style, color=TEST, markersize=4, label=name)
    axes.loglog(
        delta, arrays["without"], "o-", color=TRAIN, markersize=4, label="as printed, K = 1"
    )
    reference = 0.3 * arrays["with sink, K = 1"][1] * (delta / delta[1]) ** 2
    axes.loglog(delta, reference, "--", color=QUIET, label="slope 2")
    axes.set_xlabel("scale δ of the logits")
    axes.set_ylabel("relative error to gradient descent")
    axes.legend(frameon=False)


SOFTMAX_PAIR = (
    Claim(
        id="softmax-pair",
        statement="Two softmax heads with small logits of opposite signs act as one linear head, "
        "up to the square of the logits' scale δ.",
        place="Appendix A.9",
        tolerance="the order fitted between δ = 0.1 and 0.001 within 0.2 of 2",
        measure=two_heads,
        draw=draw_two_heads,
        caption="Error of the pair, with a sink token and as printed. Without the sink it "
        "converges to descent on centred targets.",
        correction="The paper asks for equal denominators, and two such heads never have them: "
        "what is left is descent on centred targets. A sink token with a large logit makes "
        "the denominators equal.",
    ),
)
