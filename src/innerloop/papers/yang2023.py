"""Yang, Lee, Nowak and Papailiopoulos (2023): looped transformers as iterative learners.

The released code and the outputs of its notebooks were read; the paper's text was not.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from innerloop import constructions
from innerloop.papers.baselines import averaging, error, lasso, least_squares, linear, nearest
from innerloop.papers.claims import Check, Claim, Outcome, Paper, Scale, at_most, near
from innerloop.papers.garg2022 import answers
from innerloop.report.canvas import QUIET, TEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D, THEIRS, SE = 20, 1_280, 4.0
PROMPTS = {"smoke": 1_280, "small": 20_000, "paper": 100_000}
PRINTED = {  # predictor, examples: the notebooks' error over d, with its last digit
    ("least squares", 10): (0.5152, 4),
    ("least squares", 19): (0.048, 3),
    ("averaging", 10): (2.04, 2),
    ("averaging", 40): (0.525, 3),
    ("three neighbours", 10): (0.90, 2),
    ("three neighbours", 40): (0.71, 2),
}
SPARSE = {10: (0.0498, 4), 15: (0.0023, 4), 20: (0.0002, 4), 40: (0.0001, 4)}
PREDICTORS = {
    "least squares": least_squares,
    "averaging": averaging,
    "three neighbours": nearest,
}
LOOPS = {
    "smoke": (1, 50, 1000),
    "small": (1, 5, 20, 50, 100, 200, 500, 1000),
    "paper": (1, 5, 20, 50, 100, 200, 500, 1000),
}


def _agrees(
    name: str, found: tuple[float, float], printed: tuple[float, int], prompts: int
) -> Check:
    """A check within the standard errors of both runs, and half of the last digit printed."""
    value, spread = found
    said, digits = printed
    both = spread * (1 + prompts / THEIRS) ** 0.5
    room = SE * both + 0.5 * 10.0**-digits
    return near(name, value, said, absolute=room, said=f"{said:.{digits}f}")


def baselines(scale: Scale) -> Outcome:
    """The predictors on linear functions, at the numbers of examples with a number printed."""
    rng, checks = np.random.default_rng(0), []
    for (name, k), printed in PRINTED.items():
        batch = linear(rng, PROMPTS[scale], k, D)
        found = error(batch, PREDICTORS[name](batch), divisor=D)
        checks.append(_agrees(f"{name}, k = {k}", found, printed, PROMPTS[scale]))
    return Outcome(tuple(checks), settings={"d": D, "prompts": PROMPTS[scale]}, seeds=(0,))


def sparse_baselines(scale: Scale) -> Outcome:
    """Lasso with `alpha = .01` on functions of three covariates."""
    rng, checks = np.random.default_rng(1), []
    prompts = {"smoke": 320, "small": 5_120, "paper": 50_000}[scale]
    for k, printed in SPARSE.items():
        batch = linear(rng, prompts, k, D, sparsity=3)
        found = error(batch, lasso(batch, penalty=0.01), divisor=3)
        checks.append(_agrees(f"Lasso, k = {k}", found, printed, prompts))
    return Outcome(tuple(checks), settings={"d": D, "prompts": prompts, "alpha": 0.01}, seeds=(1,))


def fixed_point(scale: Scale) -> Outcome:
    """A looped block of linear attention, run for more loops than it needs."""
    prompts, k = {"smoke": 20, "small": 200, "paper": 1_280}[scale], 40
    batch = linear(np.random.default_rng(2), prompts, k, D)
    truth, found = least_squares(batch), []
    for loops in LOOPS[scale]:
        model = constructions.gradient_descent(d=D, p=1, steps=loops, learning_rate=0.4)
        found.append(float(np.mean((answers(model, batch) - truth) ** 2) / D))
    gaps = np.array(found)
    checks = (
        at_most(
            "largest rise from one number of loops to the next", float(np.diff(gaps).max()), 0.0
        ),
        at_most("distance to least squares after 1000 loops", gaps[-1], 1e-6),
        at_most("the same over that after one loop", gaps[-1] / gaps[0], 1e-5),
    )
    arrays = {"loops": np.array(LOOPS[scale]), "gap": gaps}
    return Outcome(checks, arrays, {"d": D, "examples": k, "prompts": prompts}, seeds=(2,))


def draw_fixed_point(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """Distance to least squares by loops."""
    axes = figure.subplots()
    axes.loglog(arrays["loops"], arrays["gap"], "o-", color=TEST, markersize=4)
    axes.axhline(1e-6, color=QUIET, linestyle=":")
    axes.set_xlabel("loops of one layer")
    axes.set_ylabel("squared distance to least squares, over d")


YANG_2023 = Paper(
    key="yang2023",
    title="Looped transformers are better at learning learning algorithms",
    authors="Yang, Lee, Nowak, Papailiopoulos",
    link="https://arxiv.org/abs/2311.12424",
    summary="A single block, looped with the prompt added at every turn, learns regression in "
    "context as well as a transformer of twelve blocks with a twelfth of its parameters.",
    found="The printed baselines agree with ours within the noise of their 1280 prompts. A block "
    "with gradient descent in its weights stays at its fixed point for as many loops as wanted.",
    claims=(
        Claim(
            id="baselines",
            statement="Least squares, averaging and three nearest neighbours have the errors that "
            "the released notebooks print.",
            place="Linear functions, baselines (released notebooks)",
            tolerance=f"{SE:g} standard errors of both runs, and half of the last digit",
            measure=baselines,
        ),
        Claim(
            id="sparse-baselines",
            statement="Lasso has the errors that the released notebooks print.",
            place="Sparse linear functions, baselines (released notebooks)",
            tolerance=f"{SE:g} standard errors of both runs, and half of the last digit; the mean "
            "is that of a few rare prompts, so that a standard error needs thousands",
            measure=sparse_baselines,
            least="small",
        ),
        Claim(
            id="fixed-point",
            statement="A looped block can stay at the solution: more loops than it needs do no "
            "harm.",
            place="Stability beyond the trained number of loops; here weights are written down",
            tolerance="distances to least squares never rise, and fall below 1e-6",
            measure=fixed_point,
            draw=draw_fixed_point,
            caption="Distance of a looped layer of linear attention to least squares, forty "
            "examples.",
        ),
        Claim(
            id="fewer-parameters",
            statement="A trained looped block matches a transformer of twelve blocks.",
            place="Linear functions (released notebooks)",
            tolerance="errors over d at 10, 20, 25, 30 and 40 examples",
            trains=True,
        ),
        Claim(
            id="trained-stability",
            statement="A trained looped block keeps its error for more loops than it was trained "
            "with, if it was trained with enough of them and a long window.",
            place="Choice of loops and window (as restated by the released code)",
            tolerance="error at three times the loops at most 1.5 times that at the trained number",
            trains=True,
        ),
        Claim(
            id="other-classes",
            statement="Looped blocks match or beat transformers on sparse functions, trees and "
            "two-layer networks, and on OpenML data.",
            place="Other function classes (released notebooks)",
            tolerance="errors against the transformer's at the printed numbers of examples",
            trains=True,
        ),
        Claim(
            id="probes",
            statement="Loops come nearer to the gradient and to the weights turn by turn.",
            place="Probes (released notebooks)",
            tolerance="the probes' errors fall with the number of loops",
            trains=True,
        ),
    ),
)
