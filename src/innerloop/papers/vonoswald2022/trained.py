"""What the paper trained: what is not trained here yet."""

from innerloop.papers.claims import Claim

NOT_BUILT = "not set: no transformer is trained for this claim yet"


def _trained(name: str, statement: str, place: str) -> Claim:
    return Claim(name, statement, place, NOT_BUILT, trains=True)


TRAINED = (
    _trained(
        "trained-five-layers",
        "Five layers of their own match GD++ with step sizes and curvatures a layer.",
        "Fig. 3b",
    ),
    _trained(
        "sine", "With an MLP before attention a layer learns sine waves as descent does.", "Fig. 4"
    ),
    _trained(
        "trained-copying",
        "On tokens in turn two layers learn to copy, and then to take one gradient step.",
        "Fig. 5",
    ),
    _trained(
        "ten-layers", "Ten shared layers behave like two: GD++, and interpolation works.", "Fig. 7"
    ),
    _trained(
        "twelve-blocks",
        "Twelve blocks with MLPs and four heads resemble twelve steps of GD++.",
        "Fig. 8",
    ),
    _trained(
        "trained-weights-three-layers",
        "The matrices of three shared layers show the blocks of GD++.",
        "Fig. 9, right",
    ),
    _trained(
        "layer-norm-two-layers",
        "With LayerNorm between them two layers stay above the losses of GD and GD++.",
        "Fig. 14, two layers",
    ),
    _trained(
        "grokking",
        "On 8192 training tasks a block with an MLP overfits for long, and then its loss on fresh "
        "tasks falls to that of the gradient step.",
        "Fig. 15, right; its rate and batch are not printed",
    ),
)
