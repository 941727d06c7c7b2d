r"""Gradient descent on a two-layer ReLU network, two blocks a step: Bai et al., Theorem G.1.

    prediction(x) = sum_k u_k max(<v_k, x>, 0)       L = (1/2n) sum_i (prediction(x_i) - y_i)^2

| block | attention | MLP |
|---|---|---|
| 1 | score `max(<v_k, x_i>, 0)`, value `u_k`: the prediction | `g = prediction - y` |
| 2 | `u_k -= eta mean_j max(<v_k, x_j>, 0) g_j`, and for `v_k` two heads with value `x_j` | erase |

Proof. In block 1 every token carries the same `v_k`, `u_k`, so the head's mean is the term of unit
`k`. In block 2 the gradient by `u_k` is a ReLU score times `g_j`; that by `v_k` is
`u_k g_j [a > 0] x_j` for `a = <v_k, x_j>`, and the bracket is the difference of two ReLU scores,
`max(u_k g_j + C a, 0) - max(C a, 0)`, wherever `|a| >= |u_k g_j| / C`. Queries are not read.

Weights that every token carries can be key and value of one head, and a product of data with them
is a score at once. The compiler reaches two blocks a step by linear attention: its tokens carry
`<v_k, x>` and `u_k`, so that the prediction is a product of neurons, made where both are updated.

Departs from Bai et al., Theorem G.1: theirs is for smooth activations and an approximation of
`(s, t) -> s r'(t)` by many hinges of two variables; for ReLU two are enough.
Axes: `d` covariates, `k` units, one target.
Reference: Bai et al. (2023), arXiv:2306.04637, Theorem G.1.
"""

import numpy as np
from jaxtyping import Float

from innerloop.constructions._blocks import (
    RELU,
    Head,
    Layer,
    Slots,
    linear_neurons,
    together,
)
from innerloop.constructions._construction import Construction, construction


def two_layer_network(
    hidden: Float[np.ndarray, "k d"],
    output: Float[np.ndarray, " k"],
    *,
    steps: int,
    learning_rate: float,
    sharpness: float,
) -> Construction:
    r"""Gradient descent on both layers of a ReLU network with one output.

    Args:
        hidden: The initial `v_k`, as rows.
        output: The initial `u_k`.
        steps: The number of gradient steps.
        learning_rate: The step size `eta`.
        sharpness: The constant `C` of the gates.

    Returns:
        The construction: `2 steps + 1` blocks.

    Example:
        >>> from innerloop.prompts import Prompt
        >>> model = two_layer_network(
        ...     np.ones((1, 1)), np.ones(1), steps=1, learning_rate=0.125, sharpness=16.0
        ... )
        >>> model.depth, model(Prompt([[1.0]], [[3.0]], [[1.0]])).tolist()
        (3, [[1.5625]])
    """
    k, d = hidden.shape
    slots = Slots(x=d, y=1, v=k * d, u=k, one=1, f=1, g=1)
    into = [slots.v[i * d : i * d + d] for i in range(k)]
    out = [slots.u[i : i + 1] for i in range(k)]
    predict = tuple(Head(slots.x, into[i], out[i], slots.f.T, kernel=RELU) for i in range(k))
    heads = []
    for i in range(k):
        inner = sharpness * into[i]
        heads += [
            Head(into[i], slots.x, slots.g, -learning_rate * out[i].T, kernel=RELU),
            Head(
                np.concatenate([out[i], inner]),
                np.concatenate([slots.g, slots.x]),
                slots.x,
                -learning_rate * into[i].T,
                kernel=RELU,
            ),
            Head(inner, slots.x, slots.x, learning_rate * into[i].T, kernel=RELU),
        ]
    error = slots.f - slots.y
    scratch = np.concatenate([slots.f, slots.g])
    layers = [
        Layer(predict, together(linear_neurons(error, slots.g.T))),
        Layer(tuple(heads), linear_neurons(scratch, -scratch.T)),
    ]
    inputs = np.eye(d + 2)
    data = np.concatenate([slots.x, slots.y, slots.one]).T @ inputs
    start = slots.v.T @ hidden.reshape(-1, 1) + slots.u.T @ output[:, None]
    data += start @ inputs[-1:]
    return construction(
        layers, d=d, embed=(data, data), unembed=slots.f, repeats=(*(0, 1) * steps, 0)
    )
