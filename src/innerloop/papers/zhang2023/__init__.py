"""Zhang, Frei and Bartlett (2023): what training linear attention arrives at, and its risk."""

from innerloop.papers.claims import Paper, untrained
from innerloop.papers.zhang2023.limit import LIMIT
from innerloop.papers.zhang2023.risk import RISK
from innerloop.papers.zhang2023.shifts import SHIFTS

TRAINED = (
    untrained(
        "trained-limit",
        "Stochastic gradient descent on full matrices ends near the same limit, and "
        "blocks that the limit has at zero stay small.",
        "Theorem 4.1",
    ),
    untrained(
        "trained-gpt2",
        "Under shifted and random covariances large transformers do better than one "
        "layer of linear attention.",
        "Section 5, experiments; from memory, not verified",
    ),
)

ZHANG_2023 = Paper(
    key="zhang2023",
    title="Trained Transformers Learn Linear Models In-Context",
    authors="Zhang, Frei, Bartlett",
    link="https://arxiv.org/abs/2306.09927",
    summary="Gradient flow on one layer of linear self-attention, from small balanced weights, "
    "arrives at a global minimum: one gradient step with a preconditioner that depends on the "
    "covariance of training. Its risk has a closed form; it stands shifts of tasks and queries, "
    "and not of the covariates.",
    found="Limit, least loss, risk and the bias under shifted covariates hold as they are "
    "restated. We read the formulas in lecture notes and derived them again; the paper itself was "
    "not read.",
    claims=(*LIMIT, *RISK, *SHIFTS, *TRAINED),
)
