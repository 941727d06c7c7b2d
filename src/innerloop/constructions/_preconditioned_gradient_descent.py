r"""Sparse linear attention is preconditioned gradient descent: Ahn et al., Lemma 1 and Theorem 4.

    Z <- Z + (1/n) P Z M (Z^T Q Z)      P = [[B_l, 0], [0, I]]      Q = -[[A_l, 0], [0, 0]]

Proof. `P Z M Z^T Q Z`, in the target's row and column `j`, is `-(1/n) sum_i r_i <x_i, A_l x_j>` for
the residuals `r_i` that the context's target slots hold. So a query's slot, which starts at 0, is
`-<w_l, x_q>` with `w_{l+1} = w_l + (1/n) sum_i r_i A_l^T x_i = w_l - A_l^T grad R(w_l)`, and the
context's slots are `y_i - <w_l, x_i>` (B = 0). With `B_l`, covariates move as well,
`x_j <- (I - B_l S A_l) x_j`, `S = (1/n) sum_i x_i x_i^T`: for `A_l = eta I`, `B_l = (gamma/eta) I`
this is GD++. The last layer's `B_l` never reaches a prediction.

Departs from Ahn et al., Lemma 1: the preconditioner is `A_l^T`; their `A_l` is symmetric.
Axes: `l` layers, `d` covariates, `p` targets (1 there), `n` examples.
Reference: Ahn et al. (2023), arXiv:2306.00297, equations 8 and 11, Lemma 1, Theorems 3 and 4.
"""

import numpy as np
from jaxtyping import Float

from innerloop.constructions._blocks import LINEAR, Head, Layer, Slots
from innerloop.constructions._construction import Construction, construction
from innerloop.kernels import Kernel


def preconditioned_gradient_descent(
    preconditioners: Float[np.ndarray, "l d d"],
    *,
    p: int,
    transforms: Float[np.ndarray, "l d d"] | None = None,
    repeats: int = 1,
    kernel: Kernel = LINEAR,
) -> Construction:
    r"""Preconditioned gradient descent from zero, and with transforms the family of GD++.

    Args:
        preconditioners: The step matrices `A_l`, positive where the paper's `Q` is negative.
        p: The number of targets.
        transforms: The matrices `B_l`; zeros by default.
        repeats: How often the layers are visited.
        kernel: The scores' function; ReLU for the paper's Theorem 5.

    Returns:
        The construction: width `d + p`, a head a layer, no neurons.

    Example:
        The inverse second moment solves the problem in one layer.

        >>> from innerloop.prompts import Prompt
        >>> model = preconditioned_gradient_descent(np.array([[[0.25]]]), p=1)
        >>> model(Prompt([[2.0]], [[1.0]], [[2.0]])).tolist()
        [[1.0]]
    """
    d = preconditioners.shape[-1]
    slots = Slots(x=d, y=p)
    transforms = np.zeros_like(preconditioners) if transforms is None else transforms
    layers = [
        Layer(
            (
                Head(
                    query=-step @ slots.x,
                    key=slots.x,
                    value=np.eye(d + p),
                    output=np.concatenate([slots.x.T @ transform, slots.y.T], axis=1),
                    kernel=kernel,
                ),
            )
        )
        for step, transform in zip(preconditioners, transforms, strict=True)
    ]
    pair = np.eye(d + p, d + p + 1)
    return construction(layers, d=d, embed=(pair, pair), unembed=-slots.y, repeats=repeats)
