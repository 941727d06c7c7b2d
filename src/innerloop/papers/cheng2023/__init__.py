"""Cheng, Chen and Sra (2023): attention descends in function space.

The text was not at hand. Statements are as restated by later work that builds on it
and as the released code has them; their content was derived anew. Numbers of propositions and
figures are theirs as cited.
"""

from innerloop.papers.cheng2023.attention import proposition_1, several_heads, stationarity
from innerloop.papers.cheng2023.depth import (
    draw_matched,
    matched,
    proposition_2,
    released_layer,
    relu_limit,
)
from innerloop.papers.cheng2023.processes import bayes_lines, draw_bayes_lines, relu_gram
from innerloop.papers.cheng2023.trained import draw_figure_3, figure_3
from innerloop.papers.cheng2023.trained_curves import (
    draw_figure_1,
    draw_figure_2,
    figure_1,
    figure_2,
)
from innerloop.papers.cheng2023.trained_weights import distances, draw_distances
from innerloop.papers.claims import Claim, Paper

ROUNDING = "exact in float64: rounding of a few operations"
ELSEWHERE = (
    "4.5 standard errors, of the sample here and of the 20,000 contexts of an independent "
    "computation whose values are compared; the figure's own numbers are not printed"
)

CLAIMS = (
    Claim(
        id="proposition-1",
        statement="A layer of attention with scores h, value map -r and covariates that stay takes "
        "a step of functional gradient descent on the context's squared error: the context's "
        "tokens hold y_i - f_l(x_i), the query's holds -f_l(x).",
        place="Proposition 1, as restated by later work",
        tolerance=f"{ROUNDING}; depth 5, and at larger scales 1, 2, 5 and 20",
        measure=proposition_1,
    ),
    Claim(
        id="several-heads",
        statement="Several heads descend in the space of the sum of their kernels, each on a "
        "linear image of the covariates and with a weight of its own.",
        place="Equation 3.14, as restated by later work",
        tolerance=f"{ROUNDING}, at depths 2 and 5, beyond smoke scale 1 too",
        measure=several_heads,
    ),
    Claim(
        id="proposition-2",
        statement="Where targets come from a Gaussian process and the scores are its kernel, "
        "predictions tend to the Bayes estimator as layers are added, and the loss falls with "
        "every layer; scores that do not match stay away from it.",
        place="Proposition 2, as restated by later work; here for e^(<u, v> / 2), n = 14",
        tolerance="rounding against the closed form of each depth; 1e-3 from Bayes at 10^6 layers",
        measure=proposition_2,
    ),
    Claim(
        id="proposition-2-relu",
        statement="Scores of ReLU tend to the Bayes estimator on data of the ReLU kernel.",
        place="Proposition 2 as restated by later work, for the ReLU data of Figures 1 and 2; "
        "the paper's own conditions were not at hand",
        tolerance="0.3 in the logarithm for the gap, six times what the sample decides; a factor "
        "of 1000 for divergence; 1e-8 where the kernel is positive",
        measure=relu_limit,
        correction="Proposition 2 needs a positive definite kernel. That of ReLU scores is not: "
        "the process is defined with the absolute values of its eigenvalues, attention is not, "
        "and along negative eigenvalues the iteration grows. It is Bayes on contexts whose Gram "
        "matrix happens to be positive.",
    ),
    Claim(
        id="relu-gram",
        statement="Gram matrices of ReLU scores on the sphere have negative eigenvalues, more "
        "often with more points.",
        place="Appendix D and released code, where the process takes absolute eigenvalues",
        tolerance="4.5 standard errors and the rounding of shares computed independently",
        measure=relu_gram,
    ),
    Claim(
        id="bayes-lines",
        statement="The Bayes estimator's losses are the lowest lines of Figures 1 to 3; for "
        "linear data with n >= d it has none.",
        place="Figures 1 to 3, dashed lines",
        tolerance=ELSEWHERE,
        measure=bayes_lines,
        draw=draw_bayes_lines,
        caption="Logarithms of Bayes losses, d = 5; crosses are the values computed independently.",
        correction="For linear data and n = 8 the released line lies at -14.9 and not at minus "
        "infinity: it is what jitters of 1e-8 and 1e-4 leave in float32.",
    ),
    Claim(
        id="matched-in-depth",
        statement="The best scores are those that match the process that targets come from.",
        place="Proposition 2 as restated by later work, and Figure 2; here without training",
        tolerance="0.05 in the logarithm for a lead after 100 layers, 0.2 after 3; grids of steps",
        measure=matched,
        draw=draw_matched,
        caption="Least losses over constant steps, without training; thick lines are matched "
        "scores, dotted ones Bayes (none for linear data).",
        correction="True of the limit of many layers and of pointwise scores. With few layers "
        "scores that do not match win where their Gram matrix is better conditioned: on data of "
        "exp, ReLU and softmax lead by far at 3 layers, and softmax still leads at 100.",
    ),
    Claim(
        id="stationarity",
        statement="For a covariance Sigma and data whose law rotations of the whitened covariates "
        "leave alone, slopes by A_l, B_l and C_l point along the set of A_l = a_l I, "
        "B_l = b_l Sigma^(-1/2), C_l = c_l Sigma^(-1/2), for linear, ReLU, exp and softmax scores.",
        place="The theorems on stationary points, as restated by later work",
        tolerance="rounding: the batch has the symmetry exactly, under all signed permutations; at "
        "smoke scale for ReLU and softmax only",
        measure=stationarity,
    ),
    Claim(
        id="one-linear-layer",
        statement="A trained layer of linear attention has log loss -0.15 on linear data, n = 8.",
        place="Released figure for linear data",
        tolerance="4.5 standard errors of the sampled loss",
        measure=released_layer,
        correction="That run had not converged: the best single layer leaves a third of the "
        "variance, log loss -1.0986.",
    ),
    Claim(
        id="figure-1",
        statement="With three trained layers, each process is predicted best by attention with "
        "its own kernel, for every number of examples.",
        place="Figure 1, as restated by later work",
        tolerance="linear data: lowest for n >= 4, by more than 1 at n = 8; exp data: lowest at "
        "n = 14; ReLU data: within 0.05 of the best at n = 14; none more than 0.02 below Bayes; in "
        "the logarithm, means of 5 seeds",
        measure=figure_1,
        draw=draw_figure_1,
        caption="Logarithms of the losses of three trained layers, means and standard deviations "
        "of 5 seeds; thick lines are matched scores, dotted ones Bayes.",
        least="small",
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="figure-2",
        statement="Trained losses fall with the number of layers, towards Bayes for matched "
        "scores.",
        place="Figure 2, as restated by later work",
        tolerance="not increasing; at most 0.25 above Bayes at 5 layers on exp data; in the "
        "logarithm, means of 5 seeds",
        measure=figure_2,
        draw=draw_figure_2,
        caption="Logarithms of the losses of trained layers, means and standard deviations of 5 "
        "seeds; thick lines are matched scores.",
        least="small",
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="figure-3",
        statement="Two trained heads, one linear and one exp, match each pure kernel and beat "
        "both single heads on their sum.",
        place="Figure 3, as restated by later work",
        tolerance="0.8 below each single head on the sum, n = 14, three layers; on pure kernels "
        "within 0.05 of the matched head for one layer and 0.5 for three; in the logarithm, means "
        "of 5 seeds",
        measure=figure_3,
        draw=draw_figure_3,
        caption="Logarithms of the losses of trained models, a point a seed; n = 8 for linear "
        "data, 14 for others.",
        least="small",
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="distances",
        statement="In training, whitened B_l^T C_l and A_l turn into multiples of the identity, "
        "and B_l^T C_l itself does not; here for linear scores.",
        place="Figures on the theorems; their panels were not seen",
        tolerance="distance to multiples of I below 0.15 for B_l^T C_l whitened and 0.1 for A_l, "
        "above 0.4 for B_l^T C_l as it is; means of 5 seeds",
        measure=distances,
        draw=draw_distances,
        caption="Distances to multiples of the identity of the matrices of three trained layers, "
        "a curve a layer, means and standard deviations of 5 seeds.",
        least="small",
        trains=True,
        dtype="float32",
    ),
)

CHENG_2023 = Paper(
    key="cheng2023",
    title="Transformers implement functional gradient descent to learn non-linear functions in "
    "context",
    authors="Cheng, Chen, Sra",
    link="https://arxiv.org/abs/2312.06528",
    summary="Attention with any score function takes steps of functional gradient descent. Where "
    "the scores are the covariance of a Gaussian process that targets come from, deep attention "
    "tends to the Bayes estimator; training's stationary points adapt to the covariates' "
    "covariance.",
    found="The construction and the stationary points hold exactly, for softmax too. Bayes "
    "optimality in the limit holds for positive definite kernels and not for ReLU, whose "
    "iteration diverges. That matched scores are best is true in depth: with few layers others "
    "win, and on data of exp softmax leads even at a hundred. Where layers are trained, matched "
    "scores win with three already.",
    claims=CLAIMS,
)
