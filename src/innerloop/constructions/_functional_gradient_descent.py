r"""Attention with any score function descends in function space: Cheng et al., Proposition 1.

    Z_{l+1} = Z_l + sum_j V^j Z M h^j(B^j X, C^j X)      V^j = [[A^j, 0], [0, -r alpha_j I]]

Proof. With `A = 0` the covariates stay, and `Y_{l+1}[q] = Y_l[q] - r sum_i Y_l[i] k(x_i, x_q)` for
`k(u, v) = sum_j alpha_j h^j(B^j u, C^j v)`. Put `Y_l[i] = y_i - f_l(x_i)` in the context and
`-f_l(x_q)` at the query, true for `f_0 = 0`: the recursion is `f_{l+1} = f_l + r sum_i (y_i -
f_l(x_i)) k(., x_i)`, a step along the gradient of `1/2 sum_i (f(x_i) - y_i)^2` in the Hilbert space
of `k`. Nothing was asked of `k`, so the identity holds for ReLU scores and for softmax too, which
have no such space. As `l` grows, `f_l -> k_q^T K^{-1} y` for `0 < r < 2 / lambda_max(K)`: the mean
of the Gaussian process with covariance `k`, the Bayes estimator if that is where targets came from.
With `A` the covariates move too, `X_{l+1} = X_l + A X_l M h(B X_l, C X_l)`: GD++ for functions.

Departs from Cheng et al., Proposition 1: the step is beside a mean over the context, `r = eta / n`;
with softmax, whose weights have sum one, it is `eta`.
Departs from Cheng et al., Proposition 2: for ReLU, which is not positive definite, the Gaussian
process is made of absolute eigenvalues, attention is not, and the iteration diverges along the
negative ones: the limit is no Bayes estimator.
Axes: `c` coordinates that a head compares, `d` covariates, `p` targets (1 there), `n` examples.
Reference: Cheng, Chen and Sra (2023), arXiv:2312.06528, Propositions 1 and 2, equation 3.14.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from innerloop.constructions._blocks import Head, Layer, Slots
from innerloop.constructions._construction import Construction, construction
from innerloop.kernels import Kernel


class KernelHead(NamedTuple):
    """One head: `h`, with its weight `alpha` in the kernel, and the maps of keys and queries."""

    kernel: Kernel
    weight: float = 1.0
    key: Float[np.ndarray, "c d"] | None = None  # B, the identity by default
    query: Float[np.ndarray, "c d"] | None = None  # C, equal to B by default
    transform: Float[np.ndarray, "d d"] | None = None  # A, zero by default


def functional_gradient_descent(
    heads: Sequence[KernelHead], *, d: int, p: int, steps: int, learning_rate: float
) -> Construction:
    r"""Functional gradient descent from zero, by any number of heads of any kernels.

    Args:
        heads: The terms of the kernel.
        d: The number of covariates.
        p: The number of targets.
        steps: The number of layers, all of the same weights.
        learning_rate: The step size `eta`.

    Returns:
        The construction: width `d + p`, `steps` layers, no neurons.

    Example:
        >>> from innerloop.prompts import Prompt
        >>> relu = [KernelHead(Kernel("relu"))]
        >>> model = functional_gradient_descent(relu, d=1, p=1, steps=2, learning_rate=0.5)
        >>> model(Prompt([[1.0], [-1.0]], [[1.0], [0.0]], [[2.0]])).tolist()
        [[0.875]]
    """
    slots = Slots(x=d, y=p)

    def attention(head: KernelHead) -> Head:
        key = np.eye(d) if head.key is None else head.key
        query = key if head.query is None else head.query
        transform = np.zeros((d, d)) if head.transform is None else head.transform
        step = learning_rate * head.weight
        return Head(
            query=query @ slots.x,
            key=key @ slots.x,
            value=np.concatenate([slots.x, slots.y]),
            output=np.concatenate([slots.x.T @ transform, -step * slots.y.T], axis=1),
            kernel=head.kernel,
            average=not head.kernel.normalised,
        )

    pair = np.eye(d + p, d + p + 1)
    return construction(
        [Layer(tuple(attention(head) for head in heads))],
        d=d,
        embed=(pair, pair),
        unembed=-slots.y,
        repeats=steps,
    )
