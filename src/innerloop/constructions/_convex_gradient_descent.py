r"""A layer of ReLU attention is a gradient step on a convex loss: Bai et al., Theorem 13.

    token h = (x; y; w; 1)     L(w) = (1/n) sum_i loss(<w, x_i>, y_i) + (lambda/2) |w|^2
    loss' = d loss / dt = sum_m c_m max(a_m t + b_m y + e_m, 0)
    Q_m h = (a_m w; b_m; e_m)     K_m h_j = (x_j; y_j; 1)     V_m h_j = -eta c_m x_j  ->  w

Proof. Every token carries the same `w`. The scores of head `m` are `max(a_m <w, x_j> + b_m y_j +
e_m, 0)`; their sum over heads, with values, is `-eta (1/n) sum_j loss'(<w, x_j>, y_j) x_j`, which
is added to `w` in every token. One more head of constant score averages `-eta lambda w`. A last
layer with scores `+-<x_q, w>` and value 1 reads the prediction out. `L + 1` layers for `L` steps.

- Squared error, `t - y = max(t - y, 0) - max(y - t, 0)`: two heads, exact; three with ridge.
- Logistic loss, `sigmoid(t) - y`: an interpolant of the sigmoid and two heads for `-y`. A
  derivative that is wrong by `eps` moves `w` by at most `eta eps |x|` a step, and steps of a convex
  loss with `eta <= 2 / smoothness` do not spread errors: after `l` steps it is at most
  `l eta eps B_x`.

Departs from Bai et al., Theorem 13: they let the query be a key and suppress its score by a
constant, `-R (1 - t_j)`, and divide by `n + 1`; here queries are masked and the mean is over the
context, so weights know no `n`. Several targets are several `w`, with heads of their own.
Axes: `d` covariates, `p` targets, `n` examples.
Reference: Bai et al. (2023), arXiv:2306.04637, Theorems 4, 7 and 13, Proposition C.2.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from innerloop.constructions._blocks import RELU, Head, Layer, Slots, relu_pair
from innerloop.constructions._construction import Construction, construction
from innerloop.constructions._hinges import interpolant


class Term(NamedTuple):
    """One hinge of a loss's derivative: `factor max(slope t + target y + shift, 0)`."""

    factor: float
    slope: float
    target: float
    shift: float


SQUARED = (Term(1.0, 1.0, -1.0, 0.0), Term(-1.0, -1.0, 1.0, 0.0))
"""The derivative `t - y` of half the squared error, exactly."""


def logistic(radius: float, intervals: int) -> tuple[Term, ...]:
    """The derivative `sigmoid(t) - y` of the logistic loss, interpolated for `|t| <= radius`.

    The error is at most `h^2 / (48 sqrt 3)` for knots `h = 2 radius / intervals` apart.
    """
    hinges = interpolant(lambda t: 1 / (1 + np.exp(-t)), radius, intervals)
    sigmoid = (Term(float(c), float(a), 0.0, float(b)) for c, a, b in zip(*hinges, strict=True))
    return (*sigmoid, Term(-1.0, 0.0, 1.0, 0.0), Term(1.0, 0.0, -1.0, 0.0))


SIGMOID_CURVATURE = 1 / (6 * math.sqrt(3))
"""The largest second derivative of the sigmoid."""


def convex_gradient_descent(
    *,
    d: int,
    p: int,
    steps: int,
    learning_rate: float,
    loss: Sequence[Term] = SQUARED,
    penalty: float = 0.0,
) -> Construction:
    r"""Gradient descent from zero on a convex loss of a linear model, with a ridge penalty.

    Args:
        d: The number of covariates.
        p: The number of targets.
        steps: The number of gradient steps.
        learning_rate: The step size `eta`.
        loss: The hinges of the loss's derivative.
        penalty: The weight `lambda` of half the squared norm.

    Returns:
        The construction: `steps + 1` layers; the prediction is `<w, x_q>` for every loss.

    Example:
        >>> from innerloop.prompts import Prompt
        >>> model = convex_gradient_descent(d=1, p=1, steps=3, learning_rate=0.125)
        >>> model(Prompt([[2.0]], [[1.0]], [[2.0]])).tolist()
        [[0.875]]
    """
    slots = carried_slots(d, p)
    heads = gradient_heads(slots, d, p, learning_rate, loss)
    if penalty:
        decay = -learning_rate * penalty * slots.w.T
        heads += (Head(slots.one, slots.one, slots.w, decay, kernel=RELU),)
    return carried([Layer(heads)], slots, d=d, p=p, steps=steps)


def carried_slots(d: int, p: int) -> Slots:
    """Every token carries the weights `w`, target after target."""
    return Slots(x=d, y=p, one=1, w=p * d, out=p)


def gradient_heads(
    slots: Slots, d: int, p: int, learning_rate: float, loss: Sequence[Term]
) -> tuple[Head, ...]:
    """The heads that take a gradient step, `p` times the number of the derivative's hinges."""
    return tuple(
        Head(
            query=np.concatenate(
                [
                    term.slope * slots.w[k * d : k * d + d],
                    term.target * slots.one,
                    term.shift * slots.one,
                ]
            ),
            key=np.concatenate([slots.x, slots.y[k : k + 1], slots.one]),
            value=slots.x,
            output=-learning_rate * term.factor * slots.w[k * d : k * d + d].T,
            kernel=RELU,
        )
        for k in range(p)
        for term in loss
    )


def carried(layers: Sequence[Layer], slots: Slots, *, d: int, p: int, steps: int) -> Construction:
    """Step layers, looped, and the read-out's: two heads a target."""
    read = tuple(
        head
        for k in range(p)
        for head in relu_pair(
            Head(slots.x, slots.w[k * d : k * d + d], slots.one, slots.out[k : k + 1].T)
        )
    )
    tokens = np.concatenate([slots.x, slots.y, slots.one]).T @ np.eye(d + p + 1)
    return construction(
        [*layers, Layer(read)],
        d=d,
        embed=(tokens, tokens),
        unembed=slots.out,
        repeats=(*tuple(range(len(layers))) * steps, len(layers)),
    )
