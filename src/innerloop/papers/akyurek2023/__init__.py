"""Akyurek et al. (2023): what learning algorithm is in-context learning?"""

from innerloop.papers.akyurek2023.online import ONLINE
from innerloop.papers.akyurek2023.predictors import PREDICTORS
from innerloop.papers.akyurek2023.primitives import PRIMITIVES
from innerloop.papers.akyurek2023.trained import TRAINED
from innerloop.papers.claims import Paper

AKYUREK_2023 = Paper(
    key="akyurek2023",
    title="What learning algorithm is in-context learning? Investigations with linear models",
    authors="Akyürek, Schuurmans, Andreas, Ma, Zhou",
    link="https://arxiv.org/abs/2211.15661",
    summary="Transformers can move, multiply, divide and map entries in a layer each, and with a "
    "few of these do a step of SGD or of Sherman and Morrison on ridge regression. Trained ones "
    "are compared with such predictors, and agree with the Bayes estimator.",
    found="The primitives and both theorems hold, with the widths and constant depths as stated; "
    "multiplication by GeLU has an error of second order, and division is an interpolant here. "
    "What trained transformers agree with is not built here yet.",
    claims=(*PRIMITIVES, *ONLINE, *PREDICTORS, *TRAINED),
)
