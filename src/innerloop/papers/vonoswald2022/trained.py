"""What the paper trained: what is not trained here yet."""

from innerloop.papers.claims import untrained

TRAINED = (
    untrained(
        "trained-five-layers",
        "Five layers of their own match GD++ with step sizes and curvatures a layer.",
        "Fig. 3b",
    ),
    untrained(
        "ten-layers", "Ten shared layers behave like two: GD++, and interpolation works.", "Fig. 7"
    ),
    untrained(
        "twelve-blocks",
        "Twelve blocks with MLPs and four heads resemble twelve steps of GD++.",
        "Fig. 8",
    ),
    untrained(
        "trained-weights-three-layers",
        "The matrices of three shared layers show the blocks of GD++.",
        "Fig. 9, right",
    ),
    untrained(
        "layer-norm-two-layers",
        "With LayerNorm between them two layers stay above the losses of GD and GD++.",
        "Fig. 14, two layers",
    ),
    untrained(
        "grokking",
        "On 8192 training tasks a block with an MLP overfits for long, and then its loss on fresh "
        "tasks falls to that of the gradient step.",
        "Fig. 15, right; its rate and batch are not printed",
    ),
)
