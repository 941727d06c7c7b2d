r"""GD++: the head of gradient descent also writes to the covariates: von Oswald et al., A.10.

    W_K = W_Q = [[I, 0], [0, 0]]     W_V = [[I, 0], [0, -I]]     P = [[-gamma I, 0], [0, (eta/n) I]]

Proof. The upper rows add `-gamma sum_i x_i <x_i, x_j>` to the covariates, that is
`x_j <- (I - gamma X X^T) x_j`; the lower rows are Proposition 1 with `W_0 = 0`. Both read what the
layer was given, so covariates and targets move at the same time.

Departs from von Oswald et al., A.10: `gamma` multiplies a mean over the context, as `eta` does; the
paper's is ours divided by `n`. And `W_0` is taken into the tokens, `(x; y - W_0 x)`, instead of
`W_V = [[I, 0], [W_0, -I]]`: from the second layer on, the printed matrix multiplies `W_0` with
transformed covariates, and what it then descends on is no residual of the first problem.
Axes: `d` covariates, `p` targets, `n` examples.
Reference: von Oswald et al. (2023), arXiv:2212.07677, Appendix A.10.
"""

import numpy as np
from jaxtyping import Float

from innerloop.constructions._blocks import Head, Layer, Slots
from innerloop.constructions._construction import Construction, construction


def gd_plus_plus(
    *,
    d: int,
    p: int,
    steps: int,
    learning_rate: float,
    curvature: float,
    weights: Float[np.ndarray, "p d"] | None = None,
) -> Construction:
    r"""GD++, a linear head a step.

    Args:
        d: The number of covariates.
        p: The number of targets.
        steps: The number of layers.
        learning_rate: The step size `eta`.
        curvature: The rate `gamma` of the covariates' transformation, beside a mean.
        weights: `W_0`, `(p, d)`; zeros by default.

    Returns:
        The construction: width `d + p`, `steps` layers of one head, no neurons.

    Example:
        >>> from innerloop.prompts import Prompt
        >>> model = gd_plus_plus(d=1, p=1, steps=3, learning_rate=0.125, curvature=0.125)
        >>> model(Prompt([[2.0]], [[1.0]], [[2.0]])).tolist()
        [[0.6043701171875]]
    """
    start = np.zeros((p, d)) if weights is None else weights
    slots = Slots(x=d, y=p)
    head = Head(
        query=slots.x,
        key=slots.x,
        value=np.concatenate([slots.x, -slots.y]),
        output=np.concatenate([-curvature * slots.x.T, learning_rate * slots.y.T], axis=1),
    )
    x, y = np.eye(d, d + p + 1), np.eye(p, d + p + 1, k=d)
    residual = slots.x.T @ x + slots.y.T @ (y - start @ x)
    return construction(
        [Layer((head,))],
        d=d,
        embed=(residual, residual),  # the query's target is zero, which leaves -W_0 x_q
        unembed=-slots.y,
        repeats=steps,
    )
