r"""Proximal gradient descent for the Lasso: a gradient layer whose MLP shrinks: Bai et al., Thm 10.

    w <- soft(w - eta grad L(w), tau)     soft(w, tau) - w = -max(w, 0) + max(-w, 0)
                                                              + max(w - tau, 0) - max(-w - tau, 0)

Proof. The heads are those of Theorem 13. The four neurons a coordinate take `w` away and put the
soft threshold in its place: for `w > tau` they add `-w + (w - tau)`, for `|w| <= tau` they add
`-w`. Exact; two heads and `4 d` neurons a target, one layer a step.
Axes: `d` covariates, `p` targets.
Reference: Bai et al. (2023), arXiv:2306.04637, Theorem 10 and Proposition C.1.
"""

import numpy as np

from innerloop.constructions._blocks import Layer, Neurons
from innerloop.constructions._construction import Construction
from innerloop.constructions._convex_gradient_descent import (
    SQUARED,
    carried,
    carried_slots,
    gradient_heads,
)


def lasso(*, d: int, p: int, steps: int, learning_rate: float, penalty: float) -> Construction:
    r"""ISTA from zero on `1/(2n) sum_i |W x_i - y_i|^2 + lambda |W|_1`.

    Args:
        d: The number of covariates.
        p: The number of targets.
        steps: The number of proximal steps.
        learning_rate: The step size `eta`.
        penalty: The weight `lambda` of the 1-norm.

    Returns:
        The construction: `steps + 1` layers.

    Example:
        >>> from innerloop.prompts import Prompt
        >>> model = lasso(d=1, p=1, steps=3, learning_rate=0.5, penalty=0.25)
        >>> model(Prompt([[1.0]], [[1.0]], [[1.0]])).tolist()
        [[0.65625]]
    """
    slots = carried_slots(d, p)
    w, threshold = slots.w, learning_rate * penalty
    shrink = Neurons(
        np.concatenate([w, -w, w, -w]),
        np.concatenate([-w.T, w.T, w.T, -w.T], axis=1),
        np.repeat([0.0, 0.0, -threshold, -threshold], len(w)),
    )
    heads = gradient_heads(slots, d, p, learning_rate, SQUARED)
    return carried([Layer(heads, shrink)], slots, d=d, p=p, steps=steps)
