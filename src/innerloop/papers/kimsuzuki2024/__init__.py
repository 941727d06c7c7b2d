"""Kim and Suzuki (2024): an MLP below linear attention learns the features of the tasks."""

from innerloop.papers.claims import Paper
from innerloop.papers.kimsuzuki2024 import dynamics, landscape, prompts

KIM_SUZUKI_2024 = Paper(
    key="kimsuzuki2024",
    title="Transformers learn nonlinear features in context: nonconvex mean-field dynamics on the "
    "attention landscape",
    authors="Kim, Suzuki",
    link="https://arxiv.org/abs/2402.01258",
    summary="A wide MLP below one layer of linear attention is trained on random tasks. With "
    "attention at its optimum the loss of a distribution of neurons has no local minima but the "
    "global ones, and its saddles are strict, so that gradient flow learns the tasks' features.",
    found="The landscape is as stated, and saddles can be written down: their losses are half-sums "
    "of eigenvalues. For fixed weights a prompt of n examples costs exactly c/n, where the bound "
    "has the order 1/sqrt(n). We had third-party notes of the paper, not its text.",
    claims=(*landscape.CLAIMS, *prompts.CLAIMS, *dynamics.CLAIMS),
)
