"""Fu, Chen, Jia and Sharan (2023): transformers and second-order convergence in context."""

from innerloop.papers.claims import Claim, Paper
from innerloop.papers.fu2023.maps import (
    conditioning,
    draw_figure_26,
    draw_linear_attention,
    figure_26,
    least_squares,
    linear_attention,
)
from innerloop.papers.fu2023.newton import (
    moments,
    quasi_newton,
    residual_identity,
    step_size,
    theorem_5_1,
)

ROUNDING = "exact in float64: rounding"

CLAIMS = (
    Claim(
        id="theorem-5-1",
        statement="A transformer of width O(d) with full ReLU attention takes k steps of iterative "
        "Newton in k + O(1) layers.",
        place="Theorem 5.1 and Appendix B",
        tolerance=f"{ROUNDING}, up to 12 steps, against the spectrum; 0.1 and 1e-3 for errors of "
        "what must fail",
        measure=theorem_5_1,
        correction="Of the two heads that stand for a linear one, the second needs the opposite "
        "value matrix: printed with equal ones they give |z|, and the network is wrong from its "
        "first layer. The query must not be a key in any layer, which the text leaves out. In "
        "this form k + 2 layers are enough, where the paper has k + 8.",
    ),
    Claim(
        id="residual-identity",
        statement="Newton's iterates satisfy I - M_k S = (I - a S^2)^(2^k), so that they converge "
        "quadratically.",
        place="Section 3 and Appendix, iterative Newton",
        tolerance=f"{ROUNDING}, 1e-10 for k = 1, 2 and 6, printed by the network",
        measure=residual_identity,
    ),
    Claim(
        id="step-size",
        statement="Iterative Newton converges from M_0 = a S with a = 2 / |S S^T|.",
        place="Section 3, with the spectral norm; released code: 1 / |S S^T|, Frobenius norm",
        tolerance="1e-6 from least squares after 20 steps where it converges, 0.01 where not",
        measure=step_size,
        correction="a must be strictly less than 2 / |S S^T| in the spectral norm, for every "
        "prompt at once since it is a weight; at the end of the interval the residual of the top "
        "direction goes from -1 to 1 and stays.",
    ),
    Claim(
        id="moments",
        statement="Newton's iterates are polynomials in S: M_1 and M_2 of equations (38) and (39).",
        place="Equations (38) and (39)",
        tolerance=f"{ROUNDING}, 1e-12 for M_1 and M_2 printed by the network",
        measure=moments,
        correction="M_k is the sum over j from 1 to 2^k of C(2^k, j) (-1)^(j+1) a^j S^(2j-1): "
        "M_1 = 2aS - a^2 S^3, M_2 = 4aS - 6a^2 S^3 + 4a^3 S^5 - a^4 S^7. "
        "The printed coefficients were not at hand, so that only these were checked.",
    ),
    Claim(
        id="quasi-newton",
        statement="BFGS, with the printed update, and conjugate gradients are different baselines.",
        place="Appendix, second-order baselines",
        tolerance=f"{ROUNDING}, 1e-8 after four steps",
        measure=quasi_newton,
        correction="The printed update is that of DFP. On least squares with exact line search "
        "from the identity DFP, BFGS and conjugate gradients have the same iterates, so any "
        "difference comes from a step rule that is not stated.",
    ),
    Claim(
        id="figure-26",
        statement="The best match of Newton's k-th iterate grows exponentially in k among iterates "
        "of gradient descent, and linearly among those of Newton and of conjugate gradients.",
        place="Figure 26; conjugate gradients in the appendix",
        tolerance="slopes over k = 6 to 22: 0.5 within 0.1 doublings of descent a step, 1 within "
        "0.35 for conjugate gradients, R^2 at least 0.97; Newton's own match exactly",
        measure=figure_26,
        draw=draw_figure_26,
        caption="The step of gradient descent (left) and of conjugate gradients (right) whose "
        "errors are most like those of Newton's k-th iterate; d = 20, 40 examples.",
    ),
    Claim(
        id="conditioning",
        statement="At condition number 100 Newton needs about 20 steps, few more than for "
        "isotropic covariates; gradient descent needs several times as many.",
        place="Section 4.3 and Figure 4, for the algorithms by themselves",
        tolerance="steps to a similarity of 0.98 with least squares; descent with one step size "
        "for all prompts, the inverse of the largest eigenvalue, since the paper's is not stated",
        measure=conditioning,
    ),
    Claim(
        id="least-squares",
        statement="Least squares leaves max(0, 1 - t/d) of the variance after t examples.",
        place="Figure 2, reference curve",
        tolerance="4.5 standard errors; rounding for t > d",
        measure=least_squares,
    ),
    Claim(
        id="linear-attention",
        statement="Layers that match Newton's iterates linearly and those of descent "
        "exponentially are a sign of a second-order method; linear attention, which does GD++, "
        "shows it too.",
        place="Section 1, footnote on linear attention",
        tolerance="R^2 at least 0.9 of both lines over four layers; 2 to 5 Newton steps a layer, "
        "where trained transformers have about 3",
        measure=linear_attention,
        draw=draw_linear_attention,
        caption="Four layers of linear attention with seven scalars, chosen for the least loss at "
        "d = 20 and 40 examples: the matching steps, and the error of each layer.",
    ),
    Claim(
        id="figure-2",
        statement="Errors read out of successive layers of a trained GPT-2 fall superlinearly from "
        "layer 3 to 8.",
        place="Figures 2 and 7",
        tolerance="monotone within 5 %, growing ratios over middle layers",
        trains=True,
    ),
    Claim(
        id="figure-3",
        statement="Successive layers of a trained transformer match iterates of Newton linearly, "
        "about three a layer, and of gradient descent exponentially.",
        place="Figures 3, 8 and 10",
        tolerance="slope 2 to 4, R^2 above 0.9 on layers that are not saturated, bootstrapped",
        trains=True,
    ),
    Claim(
        id="figure-4",
        statement="A transformer trained at condition number 100 matches Newton after about as "
        "many steps as for isotropic covariates.",
        place="Figures 4 and 16",
        tolerance="at most 1.5 times as many Newton steps",
        trains=True,
    ),
    Claim(
        id="table-1",
        statement="A trained transformer is most like Newton, 0.991, a trained LSTM like online "
        "gradient descent, 0.954.",
        place="Table 1 and Figure 5",
        tolerance="the order of similarities",
        trains=True,
    ),
    Claim(
        id="figure-6",
        statement="A transformer must be wide enough for the covariates: widths 32 and 64 reach "
        "least squares for d = 20, smaller ones do not.",
        place="Figure 6",
        tolerance="the gap to least squares between widths d/2 and 2d",
        trains=True,
    ),
    Claim(
        id="figure-9",
        statement="Weights that a trained transformer's predictions induce are like those of "
        "Newton, 0.974, and of gradient descent, 0.978.",
        place="Figure 9",
        tolerance="at least 0.95 for the last layer",
        trains=True,
    ),
    Claim(
        id="figure-27",
        statement="Induced weights lie in the span of the covariates seen.",
        place="Figure 27",
        tolerance="less than 0.2 outside, last layer, t < d",
        trains=True,
    ),
)

FU_2023 = Paper(
    key="fu2023",
    title="Transformers learn to achieve second-order convergence rates for in-context linear "
    "regression",
    authors="Fu, Chen, Jia, Sharan",
    link="https://arxiv.org/abs/2310.17086",
    summary="Successive layers of a trained transformer match successive iterates of Newton's "
    "method, while gradient descent needs exponentially many steps for each; a transformer can "
    "take k Newton steps in k + O(1) layers.",
    found="The construction is exact once the sign of a value matrix and a mask are corrected, in "
    "k + 2 layers. The map between Newton and descent is a law of the two algorithms, "
    "2^(k/2) steps of descent for k of Newton, so that linear in the one and exponential in the "
    "other are one finding. Linear attention shows the same pattern. The printed step size does "
    "not converge, and the printed BFGS is DFP.",
    claims=CLAIMS,
)
