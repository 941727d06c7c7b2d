r"""Two softmax heads make a linear one: von Oswald et al., A.9.

    W_1,KQ = +delta [[I, 0], [0, 0]]     W_2,KQ = -W_1,KQ     P_1 = -P_2 = eta / (2 delta) I

Proof. `softmax_i(delta s) = (1/n) (1 + delta (s_i - mean s)) + O(delta^2)`, for `s_i = <x_i, x_q>`.
In the difference of two heads the constant cancels, and so does the second order:
`eta / (2 delta) (softmax(delta s) - softmax(-delta s))_i = (eta/n) (s_i - mean s) + O(delta^2)`.

Departs from von Oswald et al., A.9: the paper asks for equal denominators, and they are not equal.
Their first orders, `n + delta sum s` and `n - delta sum s`, leave the mean of the scores, so that
the two heads converge to gradient descent on *centred* residuals,
`(eta/n) sum_i (v_i - mean v) <x_i, x_q>`, and not to Proposition 1, however small `delta` is.
A register token as a sink, with logit `c` and value zero, carries nearly all of both denominators.
Then `e^c` times the difference is `2 delta s_i`, up to `O(delta^2) + O(n e^-c)`.

Rounding grows like `1e-16 / delta` and does not grow with `c`.
Axes: `d` covariates, `p` targets, `n` examples.
Reference: von Oswald et al. (2023), arXiv:2212.07677, Appendix A.9.
"""

import math

import numpy as np

from innerloop.constructions._blocks import SOFTMAX, Head, Layer, Slots
from innerloop.constructions._construction import Construction, construction


def softmax_gradient_descent(
    *, d: int, p: int, steps: int, learning_rate: float, delta: float, sink: float | None
) -> Construction:
    r"""Gradient descent from zero with two softmax heads a step, to `O(delta^2)`.

    Args:
        d: The number of covariates.
        p: The number of targets.
        steps: The number of layers.
        learning_rate: The step size `eta`.
        delta: How small the logits are made.
        sink: The logit `c` of the sink token; None is the paper's own form, which centres.

    Returns:
        The construction: `steps` layers of two heads, and with a sink one register token.

    Example:
        >>> from innerloop.prompts import Prompt
        >>> model = softmax_gradient_descent(
        ...     d=1, p=1, steps=1, learning_rate=0.5, delta=1e-4, sink=25.0
        ... )
        >>> model(Prompt([[1.0], [2.0]], [[1.0], [2.0]], [[1.0]])).round(6).tolist()
        [[1.25]]
    """
    slots = Slots(x=d, y=p, one=1, sink=1)
    scale = learning_rate / (2 * delta) * (1.0 if sink is None else math.exp(sink))
    heads = tuple(
        Head(
            query=np.concatenate([sign * delta * slots.x, slots.one]),
            key=np.concatenate([slots.x, (0.0 if sink is None else sink) * slots.sink]),
            value=-slots.y,
            output=sign * scale * slots.y.T,
            kernel=SOFTMAX,
            average=sink is not None,
            readers=(True, True, False, False),  # the sink keeps its value of exactly zero
        )
        for sign in (1.0, -1.0)
    )
    inputs = np.eye(d + p + 1)
    pair = np.concatenate([slots.x, slots.y, slots.one]).T @ inputs
    return construction(
        [Layer(heads)],
        d=d,
        embed=(pair, pair),
        unembed=-slots.y,
        repeats=steps,
        registers=None if sink is None else slots.sink,
    )
