"""What the paper trained: figures whose transformers are not trained here yet."""

from innerloop.papers.claims import Claim

NOT_BUILT = "not set: no transformer is trained for this claim yet"


def _trained(name: str, statement: str, place: str) -> Claim:
    return Claim(name, statement, place, NOT_BUILT, trains=True)


TRAINED = (
    _trained(
        "trained-loss",
        "A trained layer of linear attention has the loss of one gradient step with the best "
        "step size.",
        "Fig. 2",
    ),
    _trained(
        "trained-alignment",
        "Its sensitivities and predictions become those of the gradient step.",
        "Fig. 2, alignment panel",
    ),
    _trained(
        "trained-interpolation",
        "The mean of its rescaled weights and the construction's has the same loss.",
        "Fig. 2; A.3",
    ),
    _trained(
        "trained-weights",
        "Its matrices, and those of three shared layers, show the blocks of the construction.",
        "Fig. 9",
    ),
    _trained(
        "trained-shift",
        "On covariates and tasks of other scales and laws, trained layers do what their "
        "algorithms do.",
        "Fig. 6, A.2",
    ),
    _trained(
        "trained-roll-out",
        "A trained layer, dampened and repeated, lowers the loss like the constructed one.",
        "Fig. 1 right, Fig. 10",
    ),
    _trained(
        "trained-two-layers",
        "Two shared layers beat gradient descent and reach GD++; on the way they pass through "
        "gradient descent.",
        "Fig. 3a",
    ),
    _trained(
        "trained-gamma",
        "The curvature that two shared layers learn is 0.179, 0.099, 0.056, 0.029 for N = 10, 25, "
        "50, 100.",
        "Appendix A.10",
    ),
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
        "softmax-weights",
        "Trained pairs of softmax heads have products of opposite signs that add up to a diagonal.",
        "Fig. 11",
    ),
    _trained(
        "softmax-loss",
        "One softmax head cannot reach the gradient step; two come much nearer.",
        "Fig. 12",
    ),
    _trained(
        "layer-norm",
        "With LayerNorm, one and two layers stay above the losses of their algorithms.",
        "Fig. 14",
    ),
    _trained(
        "phase-transitions",
        "Training stays on a plateau and falls at once; two heads fall sooner than one.",
        "Fig. 15",
    ),
    _trained(
        "finite-tasks",
        "A few thousand training tasks are enough to find the gradient step; 128 are not.",
        "Fig. 16",
    ),
)
