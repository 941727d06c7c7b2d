r"""Iterative Newton, a layer a step: Fu et al., Theorem 5.1.

    T_0 = alpha S     T_{k+1} = 2 T_k - T_k S T_k     prediction = <x_q, T_k (1/n) sum_j y_j x_j>

Proof. Token `j` carries `t_j = T x_j` beside `x_j`. First layer: query and key `x`, value
`alpha x` writes `alpha S x_j`. A step: query `-x_j / 2`, key `t_i`, value `t_i` adds
`-(1/2n) sum_i t_i <t_i, x_j> = -(1/2) T S T x_j` to `T x_j`, and the MLP doubles: `2 T - T S T`.
Last layer: query `x_q`, key `t_j`, value `y_j` writes `(1/n) sum_j <x_q, T x_j> y_j`. All exact;
`k + 2` layers, where the paper has `k + 8` with approximate layers before and after.
`I - T_k S = (I - alpha S^2)^(2^k)`: it converges for `0 < alpha < 2 / lambda_max(S)^2`.

ReLU attention makes a linear head of two, `z = max(z, 0) - max(-z, 0)`.
Departs from Fu et al., proof of Theorem 5.1: both heads have the same value matrix in print, which
gives `|z|`; the second needs the opposite sign.
Departs from Fu et al., Theorem 5.1: the query must not be a key in any layer, or `S` gains
`x_q x_q^T`; and `alpha` is a weight, so the interval must hold for all prompts at once. Their
`alpha = 2 / |S S^T|` is the end of the interval, where the top direction is lost.
`S` is a mean over the context, as everywhere here; theirs is a sum.
Axes: `d` covariates, `p` targets, `n` examples.
Reference: Fu et al. (2023), arXiv:2310.17086, Theorem 5.1 and Appendix B.
"""

import numpy as np

from innerloop.constructions._blocks import Head, Layer, Slots, linear_neurons, relu_pair
from innerloop.constructions._construction import Construction, construction


def newton(*, d: int, p: int, steps: int, scale: float, relu: bool = True) -> Construction:
    r"""Least squares by `k` steps of iterative Newton.

    Args:
        d: The number of covariates.
        p: The number of targets.
        steps: The number `k` of Newton steps.
        scale: `alpha`, between 0 and `2 / lambda_max(S)^2` for every prompt.
        relu: Whether attention is ReLU, two heads for each linear one, as in the paper.

    Returns:
        The construction: `steps + 2` layers, width `2 d + 2 p`.

    Example:
        >>> from innerloop.prompts import Prompt
        >>> model = newton(d=1, p=1, steps=3, scale=0.5)
        >>> model(Prompt([[1.0]], [[1.0]], [[1.0]])).tolist()
        [[0.99609375]]
    """
    slots = Slots(t=d, x=d, y=p, out=p)

    def attention(head: Head) -> tuple[Head, ...]:
        return relu_pair(head) if relu else (head,)

    layers = [
        Layer(attention(Head(slots.x, slots.x, slots.x, scale * slots.t.T))),
        Layer(
            attention(Head(-0.5 * slots.x, slots.t, slots.t, slots.t.T)),
            linear_neurons(slots.t, slots.t.T),
        ),
        Layer(attention(Head(slots.x, slots.t, slots.y, slots.out.T))),
    ]
    pair = np.concatenate([slots.x, slots.y]).T @ np.eye(d + p, d + p + 1)
    return construction(
        layers, d=d, embed=(pair, pair), unembed=slots.out, repeats=(0, *(1,) * steps, 2)
    )
