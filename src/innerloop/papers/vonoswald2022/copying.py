"""Proposition 3: where covariates and targets come in turn, a layer copies them together."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from innerloop.constructions import copying_gradient_descent
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most, near
from innerloop.papers.vonoswald2022.explicit import EXACT, D, N, P, apart, descended, sampled
from innerloop.report.canvas import QUIET, TEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATE = 0.9
DEPTHS = (1, 2, 5)
MANY = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0)
TEMPERATURES = {"smoke": (1.0, 10.0, 20.0), "small": MANY, "paper": MANY}
LEAST = {"smoke": 1e-6, "small": EXACT, "paper": EXACT}
SETTINGS = {"d": D, "p": P, "examples": N, "learning_rate": RATE}


def linear_copying(scale: Scale) -> Outcome:
    """Copying by linear attention, with the shift that is right and with the printed one."""
    del scale
    rng, checks = np.random.default_rng(0), []
    prompt = sampled(rng)
    for steps in DEPTHS:
        expected = descended(prompt, np.zeros((P, D)), [RATE] * steps)
        model = copying_gradient_descent(**SETTINGS, steps=steps)
        error = apart(model(prompt), expected)
        checks.append(at_most(f"relative error, {steps} steps after the copy", error, EXACT))
        if steps == 1:
            model = copying_gradient_descent(**SETTINGS, steps=1, shift=-1)
            error = apart(model(prompt), expected)
            checks.append(at_least("the same with ones below the diagonal", error, 0.1))
    return Outcome(tuple(checks), settings={"N": N, "N_x": D, "N_y": P}, seeds=(0,))


def softmax_copying(scale: Scale) -> Outcome:
    """Copying by softmax attention at several inverse temperatures `beta`."""
    rng = np.random.default_rng(1)
    prompt = sampled(rng)
    expected = descended(prompt, np.zeros((P, D)), [RATE])
    betas = np.array(TEMPERATURES[scale])
    models = (copying_gradient_descent(**SETTINGS, steps=1, beta=float(b)) for b in betas)
    errors = np.array([apart(model(prompt), expected) for model in models])
    cold = (betas >= 10) & (betas <= 20)
    slope = np.polyfit(betas[cold], np.log(errors[cold]), 1)[0]
    checks = (
        at_least("relative error as printed, β = 1", errors[0], 0.1, said="0"),
        near("slope of its logarithm in β, from 10 to 20", slope, -1.0, absolute=0.05, said=""),
        at_most("relative error at the largest β", errors[-1], LEAST[scale]),
    )
    arrays = {"beta": betas, "error": errors}
    return Outcome(checks, arrays, {"N": N, "N_x": D, "N_y": P}, seeds=(1,))


def draw_softmax_copying(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """The error over the inverse temperature, beside `e^-beta`."""
    axes = figure.subplots()
    beta, error = arrays["beta"], arrays["error"]
    axes.semilogy(beta, error, "o-", color=TEST, markersize=4, label="error of the prediction")
    axes.semilogy(
        beta, error[1] * np.exp(beta[1] - beta), "--", color=QUIET, label="slope of $e^{-β}$"
    )
    axes.set_xlabel("inverse temperature β of the copying heads")
    axes.set_ylabel("relative error")
    axes.legend(frameon=False)


COPYING = (
    Claim(
        id="copying",
        statement="On tokens that hold covariates and targets in turn, with positions, one layer "
        "of linear attention copies each target beside its covariates; gradient descent follows.",
        place="Proposition 3",
        tolerance="float64 rounding; the printed shift must be wrong by a tenth",
        measure=linear_copying,
        correction="The shift matrix has its ones above the diagonal. The printed lower diagonal "
        "copies every token's predecessor.",
    ),
    Claim(
        id="softmax-copying",
        statement="Softmax attention copies just as well, since one-hot positions pass it "
        "unchanged.",
        place="Proposition 3",
        tolerance="errors that fall like e^-β, down to float64 rounding; the printed form must be "
        "wrong by a tenth",
        measure=softmax_copying,
        draw=draw_softmax_copying,
        caption="The error of one step of descent after softmax copying. As printed, β is 1.",
        correction="A softmax of logits 0 and 1 is far from one-hot. Logits need an inverse "
        "temperature β, and the error then falls like e^-β; the query needs a token to look at.",
    ),
)
