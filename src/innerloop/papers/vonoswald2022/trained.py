"""What the paper trained: what is not trained here yet."""

from innerloop.papers.claims import untrained

TRAINED = (
    untrained(
        "twelve-blocks",
        "Twelve blocks with MLPs and four heads resemble twelve steps of GD++.",
        "Fig. 8",
    ),
    untrained(
        "grokking",
        "On 8192 training tasks a block with an MLP overfits for long, and then its loss on fresh "
        "tasks falls to that of the gradient step.",
        "Fig. 15, right; its rate and batch are not printed",
    ),
)
