"""Bai, Chen, Wang, Xiong and Mei (2023): transformers as statisticians.

Read in a copy of its text whose displayed equations are partly lost: constants of numbers of layers
are those of convex optimisation, derived anew.
"""

from innerloop.papers.bai2023.descent import (
    draw_theorem_4,
    theorem_4,
    theorem_10,
    theorem_13,
    theorem_g_1,
)
from innerloop.papers.bai2023.logistic import draw_theorem_7, theorem_7
from innerloop.papers.bai2023.selection import draw_theorem_11, theorem_11
from innerloop.papers.claims import Claim, Paper

ROUNDING = "exact in float64: rounding, 1e-12"

CLAIMS = (
    Claim(
        id="theorem-13",
        statement="One layer of ReLU attention takes a gradient step on a convex loss, and one "
        "more reads out; two heads are enough for squared error, exactly.",
        place="Theorem 13 and Proposition C.2",
        tolerance=ROUNDING,
        measure=theorem_13,
    ),
    Claim(
        id="theorem-4",
        statement="Ridge regression to precision epsilon takes a number of layers of order "
        "kappa log(1 / epsilon), of three heads.",
        place="Theorem 4; its constants were not legible, those here are kappa log(B / epsilon)",
        tolerance=f"{ROUNDING}, for the iterates; epsilon itself for the distance",
        measure=theorem_4,
        draw=draw_theorem_4,
        caption="Distances from the ridge solution at queries after the numbers of layers that "
        "the bound asks for.",
    ),
    Claim(
        id="theorem-7",
        statement="Logistic regression is approximated with an error that grows linearly with the "
        "layers, l eta epsilon B_x for a derivative that is wrong by epsilon.",
        place="Theorems 7 and 13",
        tolerance="the bound itself, at every depth and number of hinges; slope -2 within 0.6",
        measure=theorem_7,
        draw=draw_theorem_7,
        caption="Errors of the weights and their bounds (dashed). Interpolants need "
        "epsilon^(-1/2) hinges, where the paper's random features need epsilon^(-2).",
    ),
    Claim(
        id="theorem-10",
        statement="A layer with two heads and an MLP takes a proximal step for the Lasso, so that "
        "the objective is within beta |w*|^2 / 2L of its minimum after L layers.",
        place="Theorem 10 and Proposition C.1",
        tolerance=f"{ROUNDING}, for the iterates; the bound itself for the objective",
        measure=theorem_10,
    ),
    Claim(
        id="theorem-g-1",
        statement="Two layers take a gradient step on both layers of a two-layer network.",
        place="Theorem G.1, for smooth activations and to an error; here for ReLU",
        tolerance="1e-9: exact away from kinks, with gates of sharpness 1e4 that lose four digits",
        measure=theorem_g_1,
    ),
    Claim(
        id="theorem-11",
        statement="With validation inside the context a transformer chooses between algorithms: "
        "the validation loss of its answer is within gamma of the best algorithm's, and its risk "
        "follows the best where the noise decides which penalty is.",
        place="Section 4.1, Theorem 11",
        tolerance="gamma itself for every prompt; 1e-7 for shares, in which rounding is divided "
        "by gamma = 1e-6; half of the way from best to worst for risks at the end noises",
        measure=theorem_11,
        draw=draw_theorem_11,
        caption="Squared errors of two ridge regressions and of the network that chooses between "
        "them, with two standard errors.",
    ),
    Claim(
        id="pre-testing",
        statement="A transformer tests its context before it learns: whether labels are binary, "
        "by six ReLU heads, and whether they correlate linearly, in three layers.",
        place="Section 4.2",
        tolerance="exact for binary labels",
    ),
    Claim(
        id="figures",
        statement="Trained encoders choose between algorithms in context: ridge of the right "
        "penalty, regression or classification, least squares or the Lasso.",
        place="Section 5 and its figures",
        tolerance="the losses of the Bayes estimators that the figures compare with",
        trains=True,
    ),
)

BAI_2023 = Paper(
    key="bai2023",
    title="Transformers as statisticians: provable in-context learning with in-context algorithm "
    "selection",
    authors="Bai, Chen, Wang, Xiong, Mei",
    link="https://arxiv.org/abs/2306.04637",
    summary="Transformers with ReLU attention take gradient and proximal steps on convex losses, "
    "a layer each, and so do ridge, the Lasso, logistic regression and two-layer networks; they "
    "can also choose between such algorithms by validation in context.",
    found="All constructions hold as weights, squared error, ridge, the Lasso and two-layer ReLU "
    "networks exactly. Interpolated sigmoids need far fewer heads than the random features of the "
    "existence proof.",
    claims=CLAIMS,
)
