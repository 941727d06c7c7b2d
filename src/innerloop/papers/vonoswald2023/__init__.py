"""Von Oswald et al. (2023): least squares inside sequence models, and the mesa layer."""

from innerloop.papers.claims import Paper
from innerloop.papers.vonoswald2023.layers import LEAST_SQUARES
from innerloop.papers.vonoswald2023.trained import TRAINED

VON_OSWALD_2023 = Paper(
    key="vonoswald2023",
    title="Uncovering mesa-optimization algorithms in Transformers",
    authors="von Oswald, Schlegel, Meulemans, Kobayashi, Niklasson, Zucchet, Scherrer, Miller, "
    "Sandler, Agüera y Arcas, Vladymyrov, Pascanu, Sacramento",
    link="https://arxiv.org/abs/2309.05858",
    summary="Transformers that predict the next state of a sequence learn the dynamics inside "
    "their forward pass. One layer can take a gradient step on the transitions seen so far, more "
    "layers can precondition it up to ridge regression, and a new layer, the mesa layer, solves "
    "the ridge regression at once.",
    found="The three constructions hold to rounding. Deeper stacks come nearer to ridge within "
    "Chebyshev's bound, and the mesa layer beats them. What trained sequence models do is not "
    "built here yet.",
    claims=(*LEAST_SQUARES, *TRAINED),
)
