r"""Gradient descent on a ReLU network by standard ReLU attention: 2N + 2 sub-layers a step.

What Wu et al.'s 2N + 4 layers do with derivatives in slots and multiplication layers, two ReLU
heads a unit do at once, for `z = <v, s>` and a pre-activation `a`:

    max(z + C a, 0) - max(C a, 0) = z [a > 0]      whenever |a| >= |z| / C

Proof. For `a > 0` and `C a >= |z|` both arguments are positive and the difference is `z`; for
`C a <= -|z|` both are negative. In between the result lies between 0 and `z`. Both arguments are
scores of attention: `z = <s(j+1), column k of V_{j+1}>` and `a = <p(j-1), v_jk>` are products of
what a token holds with the weights, which every token holds. So no `r'` is stored, no element-wise
multiplication is needed, and blocks are what they are in any transformer.

| layers      | kind | what a token gains |
|---|---|---|
| 1 .. N      | ReLU attention | `p(j)` |
| N + 1       | ReLU attention | `s(N) = kappa (p(N) - y) [a_N > 0]` |
| N+2 .. 2N   | ReLU attention | `s(j) = (V_{j+1}^T s(j+1)) [a_j > 0]` |
| 2N + 1      | ReLU attention | the update; `-B (1 - t)` in the scores keeps the query out |
| (same block)| MLP | the box, and zeros in the scratch |

Where its gate is open the output is its pre-activation, `<p(N-1), v_Nk>`, and where it is closed
nobody asks: so `s(N)` can be computed in the layer of `p(N)`, which leaves 2N blocks (`early`).

Departs from Wu et al., Remark 3: element-wise multiplication layers are not necessary.
`C` should be no larger than the margins ask: rounding is of the size of `C |a|` units in the last
place, and an `a` of exactly 0 gives `max(z, 0)` instead of 0.
Axes: as in `_deep_tokens`.
Reference: Wu et al. (2024), arXiv:2411.16549, Theorem 1, of which this is a variant; the same idea,
a finite difference as a derivative, is in Panigrahi et al. (2023), arXiv:2307.01189.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from innerloop.constructions._blocks import RELU, Head, Layer
from innerloop.constructions._construction import Construction, construction
from innerloop.constructions._deep_gradient_descent import update_layer
from innerloop.constructions._deep_tokens import (
    EVERYONE,
    NO_ACTIVATION,
    Activation,
    DeepTokens,
)
from innerloop.constructions._hinges import RECTIFIER


def deep_standard(
    weights: Sequence[Float[np.ndarray, "_ _"]],
    *,
    examples: int,
    steps: int,
    learning_rate: float,
    sharpness: float,
    box: float,
    linear_output: bool = False,
    slope: float = 2.0,
    largest: float = 1e3,
    early: bool = False,
) -> Construction:
    r"""Projected gradient descent on a ReLU network without biases, by ReLU attention alone.

    Args:
        weights: `w(0)`: `V_1, ..., V_N`, each `(K_j, K_{j-1})`.
        examples: `n`, which the weights know.
        steps: The number of gradient steps.
        learning_rate: The step size `eta` of `(1/2n) sum_i loss`.
        sharpness: The constant `C` of the gates.
        box: The bound `b` on every weight.
        linear_output: Whether the last layer has no activation.
        slope: `kappa` in `u = kappa (prediction - y)`.
        largest: A bound `B` on `|s|`, behind which the train bit closes the gate.
        early: Whether `s(N)` is computed beside `p(N)`, which saves a block a step.

    Returns:
        The construction: `2N + 1` blocks a step, or `2N`, and `N` for the prediction.

    Example:
        >>> from innerloop.prompts import Prompt
        >>> model = deep_standard(
        ...     [np.ones((1, 1)), np.ones((1, 1))], examples=1, steps=1, learning_rate=0.125,
        ...     sharpness=16.0, box=10.0,
        ... )
        >>> model.depth, model.sublayers, model(Prompt([[1.0]], [[3.0]], [[1.0]])).tolist()
        (7, 8, [[1.5625]])
    """
    tokens = DeepTokens(weights, "ps", t=1)
    depth, one = tokens.depth, tokens.slots.one
    hidden = Activation(RECTIFIER, RECTIFIER)
    last = NO_ACTIVATION if linear_output else hidden
    layers = [tokens.forward(j, last if j == depth else hidden) for j in range(1, depth + 1)]
    heads = []
    for k in range(tokens.p):
        z = _error(tokens, k, slope, early)
        heads += _signed(z, tokens, k) if linear_output else gate(z, tokens, depth, k, sharpness)
    if early:
        layers[-1] = Layer((*layers[-1].heads, *heads))
    else:
        layers.append(Layer(tuple(heads)))
    for j in range(depth - 1, 0, -1):
        heads = []
        for k in range(tokens.sizes[j]):
            z = (tokens.at("s", j + 1), tokens.column(j + 1, k))
            heads += gate(z, tokens, j, k, sharpness)
        layers.append(Layer(tuple(heads)))
    rate = learning_rate * (examples + 1) / (2 * examples)
    update = update_layer(tokens, rate, gate=largest * (one - tokens.slots.t))
    layers.append(update._replace(neurons=tokens.finish(box)))
    return construction(
        layers,
        d=tokens.d,
        embed=tokens.embedding(),
        unembed=tokens.at("p", depth),
        repeats=(*tuple(range(len(layers))) * steps, *range(depth)),
        divisor="tokens",
        one_query=True,
    )


def gate(
    z: tuple[Float[np.ndarray, "k r"], Float[np.ndarray, "k r"]],
    tokens: DeepTokens,
    j: int,
    k: int,
    sharpness: float,
) -> list[Head]:
    """Two heads that add `z [a > 0]` to `s(j)[k]`, `z` given as a query and a key."""
    inner, row = sharpness * tokens.at("p", j - 1), tokens.row(j, k)
    output = tokens.unit("s", j, k).T
    one = tokens.slots.one
    return [
        Head(
            np.concatenate([z[0], inner]),
            np.concatenate([z[1], row]),
            one,
            output,
            kernel=RELU,
            sources=EVERYONE,
        ),
        Head(inner, row, one, -output, kernel=RELU, sources=EVERYONE),
    ]


def _error(
    tokens: DeepTokens, k: int, slope: float, early: bool
) -> tuple[Float[np.ndarray, "k r"], Float[np.ndarray, "k r"]]:
    """`u[k]` as a query and a key: from the output, or early from what the output is made of."""
    slots, depth = tokens.slots, tokens.depth
    if not early:
        return slope * (tokens.unit("p", depth, k) - slots.y[k : k + 1]), slots.one
    query = np.concatenate([slope * tokens.at("p", depth - 1), -slope * slots.y[k : k + 1]])
    return query, np.concatenate([tokens.row(depth, k), slots.one])


def _signed(
    z: tuple[Float[np.ndarray, "k r"], Float[np.ndarray, "k r"]], tokens: DeepTokens, k: int
) -> list[Head]:
    """Two heads that add `z` to `s(N)[k]`, for an output without activation."""
    output, one = tokens.unit("s", tokens.depth, k).T, tokens.slots.one
    return [
        Head(sign * z[0], z[1], one, sign * output, kernel=RELU, sources=EVERYONE)
        for sign in (1.0, -1.0)
    ]
