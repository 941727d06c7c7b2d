"""What the paper trained: what is not trained here yet."""

from innerloop.papers.claims import untrained

TRAINED = (
    untrained(
        "grokking",
        "On 8192 training tasks a block with an MLP overfits for long, and then its loss on fresh "
        "tasks falls to that of the gradient step.",
        "Fig. 15, right; its rate and batch are not printed",
    ),
)
