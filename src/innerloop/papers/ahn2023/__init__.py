"""Ahn, Cheng, Daneshmand and Sra (2023): trained linear attention descends with preconditioners.

The displayed equations of the version that was read are pictures; statements are as they follow
from its text, its proofs and its code.
"""

from innerloop.papers.ahn2023.curves import draw_figure_6, draw_figure_7, figure_6, figure_7
from innerloop.papers.ahn2023.learnt import draw_figure_4, figure_2, figure_4
from innerloop.papers.ahn2023.one_layer import draw_theorem_5, lemma_1, theorem_1, theorem_5
from innerloop.papers.ahn2023.stationary import lemma_4, theorem_2, theorem_3, theorem_4
from innerloop.papers.ahn2023.trained import draw_distances, figure_1, figure_3
from innerloop.papers.ahn2023.trained_curves import draw_figure_6 as draw_figure_6_trained
from innerloop.papers.ahn2023.trained_curves import draw_figure_7 as draw_figure_7_trained
from innerloop.papers.ahn2023.trained_curves import figure_6 as figure_6_trained
from innerloop.papers.ahn2023.trained_curves import figure_7 as figure_7_trained
from innerloop.papers.ahn2023.trained_one_layer import theorem_1_trained, theorem_5_trained
from innerloop.papers.claims import Claim, Paper

ROUNDING = "exact in float64: rounding of a few operations"
SAMPLING = "4.5 standard errors where a number is sampled; rounding elsewhere"
SYMMETRY = "rounding; the batch has the symmetry exactly, so nothing is sampled"

CLAIMS = (
    Claim(
        id="lemma-1",
        statement="Layers of the sparse family (8) take steps of preconditioned gradient descent "
        "from zero, with A_l as the preconditioner of layer l where A_l is symmetric; where it is "
        "not, with its transpose.",
        place="Lemma 1",
        tolerance=f"{ROUNDING}, at depths 2 and 5, beyond smoke scale 1 too",
        measure=lemma_1,
    ),
    Claim(
        id="theorem-1",
        statement="Among all single layers of linear attention the least expected loss has only "
        "the target's entry in P, and in Q the inverse of (1 + 1/n) Sigma + (tr Sigma / n) I, with "
        "tasks w ~ N(0, I).",
        place="Theorem 1",
        tolerance="relative 1e-8 for the minimum of the exact expected loss over all weights, by "
        "BFGS from random starts, 1e-4 for weights; 4.5 standard errors for sampled losses",
        measure=theorem_1,
    ),
    Claim(
        id="theorem-2",
        statement="For two layers of family (8) with symmetric A_1 and A_2 and covariates N(0, I), "
        "some global minimiser is diagonal.",
        place="Theorem 2",
        tolerance="4.5 standard errors of the gain on fresh contexts, and one per cent of the loss",
        measure=theorem_2,
    ),
    Claim(
        id="theorem-3",
        statement="For family (8) and tasks N(0, Sigma^-1), the infimum over A_l = a_l Sigma^-1 of "
        "the norm of the gradient by all of A_l is zero: the slopes point along the set, and at "
        "its least loss they vanish.",
        place="Theorem 3",
        tolerance=SYMMETRY,
        measure=theorem_3,
    ),
    Claim(
        id="theorem-4",
        statement="The same holds for family (11), gradients by A_l and B_l, on "
        "A_l = a_l Sigma^-1, B_l = b_l I, which is GD++ for Sigma = I.",
        place="Theorem 4",
        tolerance=SYMMETRY,
        measure=theorem_4,
    ),
    Claim(
        id="lemma-4",
        statement="Where A_l = a_l Sigma^-1 the loss, and every prediction, is the same for any "
        "order of the layers, so that optima come in sets of L!.",
        place="Lemma 4",
        tolerance=ROUNDING,
        measure=lemma_4,
    ),
    Claim(
        id="theorem-5",
        statement="For one layer of ReLU attention, covariates and tasks N(0, I), and Q zero "
        "outside A, the best A is 2n / (2(d + 2) + n - 1) I.",
        place="Theorem 5",
        tolerance=SAMPLING,
        measure=theorem_5,
        draw=draw_theorem_5,
        caption="The loss of ReLU layers A = a I, sampled on transformers, with 4.5 standard "
        "errors, on the closed form; the dotted line is the stated optimum.",
    ),
    Claim(
        id="figure-2",
        statement="Three layers of family (8), trained, arrive at A_l = a_l Sigma^-1 with three "
        "different steps a_l.",
        place="Figure 2, weights at the end of training",
        tolerance="3 % of the weights read off the figure: they are printed to two digits, and "
        "training leaves noise; ours are the minimum on sampled spectra, without training",
        measure=figure_2,
    ),
    Claim(
        id="figure-4",
        statement="Three layers of family (11), trained, arrive at steps a_l that grow from layer "
        "to layer and at transforms b_l near one.",
        place="Figures 4 and 5; Section 5.1 for n",
        tolerance="3 % of the weights read off the figures, as for Figure 2; beside n = 20 the "
        "figures' weights are within 1.5 of the least loss, beside n = 10 above 20 of it",
        measure=figure_4,
        draw=draw_figure_4,
        caption="What three layers leave of the error along an eigenvector, with the best scalars "
        "of both families, over the density of the eigenvalues.",
        correction="The runs of Figures 3 to 5 have n = 20 examples, as in the released code; "
        "Section 5.1 says n = 10, for which these weights are far from a minimum.",
    ),
    Claim(
        id="figure-6",
        statement="For every number n of examples, three layers of family (11) are better than "
        "three steps of gradient descent and of preconditioned gradient descent, and for n < d "
        "better than least squares of smallest norm.",
        place="Figure 6",
        tolerance="an ordering; losses are means over sampled contexts, of the best scalars "
        "instead of trained ones",
        measure=figure_6,
        draw=draw_figure_6,
        caption="Expected squared errors for d = 5; least squares has none from n = 5 on.",
    ),
    Claim(
        id="figure-7",
        statement="One layer equals one step of preconditioned gradient descent; with two to four "
        "layers the loss falls far below as many steps.",
        place="Figure 7",
        tolerance="0.07 in the logarithm for the released curve of preconditioned descent, whose "
        "grid of steps is coarse and tuned on one seed; an ordering for the rest",
        measure=figure_7,
        draw=draw_figure_7,
        caption="Logarithms of expected squared errors, n = 20, d = 5.",
        correction="The released baselines drop one example: their curve is that of n - 1 = 19.",
    ),
    Claim(
        id="theorem-1-trained",
        statement="One layer of linear attention, all its weights trained from random ones, "
        "arrives at the minimum of Theorem 1.",
        place="Theorem 1 and Section 3",
        tolerance="2 % of the printed matrix in the Frobenius norm, 1 % of its loss, 5 seeds; "
        "the loss that is trained on is the expected one, in closed form",
        measure=theorem_1_trained,
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="theorem-5-trained",
        statement="One head of ReLU attention, trained, arrives at the optimum of Theorem 5.",
        place="Theorem 5",
        tolerance="2 % of the step and 1 % of the loss, means of 5 seeds",
        measure=theorem_5_trained,
        least="small",
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="figure-1",
        statement="In training, A_l of family (8) whitened by Sigma^(1/2) on both sides turns into "
        "multiples of the identity, and A_l itself does not.",
        place="Figures 1 and 2",
        tolerance="distance to multiples of I below 0.02 whitened and above 0.3 otherwise; steps "
        "within 3 % and the logarithm of the loss within 0.03 of the minimum of the expected loss; "
        "means of 5 seeds",
        measure=figure_1,
        draw=draw_distances,
        caption="Three layers of family (8) in training: loss, and distances to multiples of the "
        "identity, a curve a layer; means of 5 seeds.",
        least="small",
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="figure-3",
        statement="In training, family (11) arrives at whitened A_l and at B_l that are multiples "
        "of the identity.",
        place="Figures 3 to 5",
        tolerance="distance to multiples of I below 0.03; logarithm of the loss at most -7; "
        "a_0 and b_0 within 0.02 of the figures; means of 5 seeds. At small scale the optimiser "
        "works in whitened coordinates, at paper scale in those of the covariates",
        measure=figure_3,
        draw=draw_distances,
        caption="Three layers of family (11) in training: loss, and distances to multiples of the "
        "identity, a curve a layer; means of 5 seeds.",
        least="small",
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="figure-6-trained",
        statement="Trained transformers of three layers have the losses of Figure 6.",
        place="Figure 6",
        tolerance="0.05 in the logarithm of the loss from the best scalars, on the same fresh "
        "contexts, means of 5 seeds; nowhere above preconditioned steps. With up to 10 examples "
        "half of the contexts are stretched, and weighted for it, in training and in means",
        measure=figure_6_trained,
        draw=draw_figure_6_trained,
        caption="Logarithms of the losses of three layers of family (11), means and standard "
        "deviations over seeds, d = 5.",
        least="small",
        trains=True,
        dtype="float32",
    ),
    Claim(
        id="figure-7-trained",
        statement="Trained transformers of one to four layers have the losses of Figure 7.",
        place="Figure 7",
        tolerance="0.05 in the logarithm of the loss from the best scalars, on the same fresh "
        "contexts, up to three layers; one layer within 0.02 of a step; four below -8; means of 5 "
        "seeds, whichever minimum each ends in",
        measure=figure_7_trained,
        draw=draw_figure_7_trained,
        caption="Logarithms of the losses of layers of family (11), means and standard deviations "
        "of 5 seeds, n = 20, d = 5.",
        least="small",
        trains=True,
        dtype="float32",
    ),
)

AHN_2023 = Paper(
    key="ahn2023",
    title="Transformers learn to implement preconditioned gradient descent for in-context learning",
    authors="Ahn, Cheng, Daneshmand, Sra",
    link="https://arxiv.org/abs/2306.00297",
    summary="Linear self-attention trained on random linear regression arrives at preconditioned "
    "gradient descent: for one layer the global minimum is known, for several layers stationary "
    "points are, which adapt to the covariance and to its spread in samples.",
    found="All theorems hold as stated. On the sets of Theorems 3 and 4 the loss is that of a "
    "polynomial with a few scalars, and minimising it gives the trained weights of Figures 2, 4 "
    "and 5 to two digits, in seconds and without training; it also shows that those runs had 20 "
    "examples, not the 10 of the text, and that the baselines of Figure 7 have one example fewer "
    "than the transformer.",
    claims=CLAIMS,
)
