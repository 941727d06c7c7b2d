"""Von Oswald et al. (2022): transformers learn in-context by gradient descent."""

from innerloop.papers.claims import Paper
from innerloop.papers.vonoswald2022.copying import COPYING
from innerloop.papers.vonoswald2022.features import FEATURES
from innerloop.papers.vonoswald2022.finite_tasks import FINITE_TASKS
from innerloop.papers.vonoswald2022.five_layers import FIVE_LAYERS
from innerloop.papers.vonoswald2022.gd_plus_plus import GD_PLUS_PLUS
from innerloop.papers.vonoswald2022.grokking import GROKKING
from innerloop.papers.vonoswald2022.interpolation import INTERPOLATION
from innerloop.papers.vonoswald2022.layers import LAYERS
from innerloop.papers.vonoswald2022.normalised_layers import NORMALISED_LAYERS
from innerloop.papers.vonoswald2022.one_layer import ONE_LAYER
from innerloop.papers.vonoswald2022.other_layers import OTHER_LAYERS
from innerloop.papers.vonoswald2022.phases import PHASES
from innerloop.papers.vonoswald2022.shared_layers import SHARED_LAYERS
from innerloop.papers.vonoswald2022.shifts import SHIFTS
from innerloop.papers.vonoswald2022.sine import SINE
from innerloop.papers.vonoswald2022.softmax_pair import SOFTMAX_PAIR
from innerloop.papers.vonoswald2022.spectrum import SPECTRUM
from innerloop.papers.vonoswald2022.step_sizes import STEP_SIZES
from innerloop.papers.vonoswald2022.trained_copying import TRAINED_COPYING
from innerloop.papers.vonoswald2022.trained_shifts import TRAINED_SHIFTS
from innerloop.papers.vonoswald2022.twelve_blocks import TWELVE_BLOCKS
from innerloop.papers.vonoswald2022.two_layers import TWO_LAYERS

VON_OSWALD_2022 = Paper(
    key="vonoswald2022",
    title="Transformers Learn In-Context by Gradient Descent",
    authors="von Oswald, Niklasson, Randazzo, Sacramento, Mordvintsev, Zhmoginov, Vladymyrov",
    link="https://arxiv.org/abs/2212.07677",
    summary="A layer of linear self-attention can take one step of gradient descent on the "
    "examples in its context, and layers trained on linear regression become that step; deeper "
    "ones also transform the covariates, which the paper calls GD++.",
    found="Every construction holds, several with corrections: the shift of Proposition 3, the "
    "temperature of softmax copying, W_0 under GD++, equal denominators of two softmax heads, the "
    "mask beyond one layer, the factor of Equation 13. The figures were drawn for covariates from "
    "U(-1/2, 1/2), not for the printed U(-1, 1). The curvatures that the paper's layers learnt "
    "are those of least loss, which the spectrum of the context gives without training. Trained "
    "with exact gradients a layer is the gradient step to rounding; two shared layers pass through "
    "gradient descent and reach GD++, and five of their own a GD++ whose numbers grow several-fold "
    "from layer to layer. LayerNorm between two layers does not keep them above gradient descent. "
    "Twelve blocks with MLPs come near a GD++ that all but solves the task, and near the teacher "
    "as much. Grokking was found only in a block that was made to overfit.",
    claims=(
        *LAYERS,
        *FEATURES,
        *COPYING,
        *STEP_SIZES,
        *SHIFTS,
        *INTERPOLATION,
        *SOFTMAX_PAIR,
        *GD_PLUS_PLUS,
        *SPECTRUM,
        *ONE_LAYER,
        *TWO_LAYERS,
        *TRAINED_SHIFTS,
        *FIVE_LAYERS,
        *SHARED_LAYERS,
        *TWELVE_BLOCKS,
        *OTHER_LAYERS,
        *NORMALISED_LAYERS,
        *SINE,
        *TRAINED_COPYING,
        *PHASES,
        *FINITE_TASKS,
        *GROKKING,
    ),
)
