"""Wu, Su, Hu, Song and Liu (2024): gradient descent on deep networks in a forward pass."""

from innerloop.papers.claims import Paper
from innerloop.papers.wu2024 import constants, errors, exact, experiments, softmax, training

WU_2024 = Paper(
    key="wu2024",
    title="In-context deep learning via transformer models",
    authors="Wu, Su, Hu, Song, Liu",
    link="https://arxiv.org/abs/2411.16549",
    summary="A transformer whose tokens carry the weights of an N-layer network takes steps of "
    "gradient descent on that network in its forward pass, 2N + 4 layers a step.",
    found="The construction holds, once scratch is erased, the start is not zero and one constant "
    "is corrected; element-wise multiplication is not needed, and softmax attention does it with "
    "explicit weights. Much of the R² in the experiments is the mean of the prompt's labels.",
    claims=(
        *exact.CLAIMS,
        *errors.CLAIMS,
        *softmax.CLAIMS,
        *constants.CLAIMS,
        *experiments.CLAIMS,
        *training.CLAIMS,
    ),
)
