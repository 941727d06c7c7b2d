r"""Gradient descent on a ReLU network by a standard softmax transformer, with explicit weights.

    (e^c / 2 beta) [softmax(beta z) - softmax(-beta z)] v / n = mean_s z_s v_s + O(beta^2) + O(e^-c)

Proof. A register token of value zero and logit `c` carries almost all of every softmax, so that
both denominators are `e^c` up to a factor `1 + O(n e^-c)`; the difference of the numerators is
`2 sinh(beta z) v`, that is `2 beta z v (1 + beta^2 z^2 / 6 + ...)`. So two softmax heads are a
linear head, and the rest of a gradient step is linear attention and ReLU neurons:

| blocks      | attention | MLP |
|---|---|---|
| 1 .. N      | `a_j = V_j p(j-1)` | `p(j) = max(a_j, 0)` |
| N + 1       | none | `s(N) = kappa (p(N) - y) [a_N > 0]` |
| N+2 .. 2N   | `q = V_{j+1}^T s(j+1)` | `s(j) = q [a_j > 0]`, `q` erased |
| 2N + 1      | the update | the box, and zeros in the scratch |

The gate `max(z + C a, 0) - max(C a, 0)` of `_deep_standard` is two neurons here. Departs from Wu et
al., Theorem 2: their softmax transformer exists by universal approximation, with an MLP that stores
the function on a grid of exponentially many points; here every weight is written down.
Measured error falls like `beta^2`; in float64 `beta = 1e-4`, `c = 27` leaves about 1e-8.
Axes: as in `_deep_tokens`.
Reference: Wu et al. (2024), arXiv:2411.16549, Theorems 2 and 5, of which this is another proof.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from innerloop.constructions._blocks import (
    SOFTMAX,
    Head,
    Layer,
    Neurons,
    linear_neurons,
    together,
)
from innerloop.constructions._construction import Construction, construction
from innerloop.constructions._deep_tokens import DeepTokens


def deep_softmax(
    weights: Sequence[Float[np.ndarray, "_ _"]],
    *,
    steps: int,
    learning_rate: float,
    beta: float,
    sink: float,
    sharpness: float,
    box: float,
    linear_output: bool = False,
    slope: float = 2.0,
) -> Construction:
    r"""Projected gradient descent on a ReLU network without biases, by softmax attention.

    Args:
        weights: `w(0)`: `V_1, ..., V_N`, each `(K_j, K_{j-1})`.
        steps: The number of gradient steps.
        learning_rate: The step size `eta` of `(1/2n) sum_i loss`.
        beta: How small logits are made.
        sink: The logit `c` of the sink.
        sharpness: The constant `C` of the gates.
        box: The bound `b` on every weight.
        linear_output: Whether the last layer has no activation.
        slope: `kappa` in `u = kappa (prediction - y)`.

    Returns:
        The construction: `2N + 1` blocks a step, and `N` for the prediction; queries are masked,
        and weights do not know `n`.
    """
    tokens = DeepTokens(weights, "aps", q=max(len(v) for v in weights), sink=1)
    depth, slots = tokens.depth, tokens.slots

    def linear(head: Head) -> tuple[Head, ...]:
        return tuple(
            head._replace(
                query=np.concatenate([sign * beta * head.query, slots.one]),
                key=np.concatenate([head.key, sink * slots.sink]),
                output=sign * math.exp(sink) / (2 * beta) * head.output,
                kernel=SOFTMAX,
                readers=(True, True, False, False),
            )
            for sign in (1.0, -1.0)
        )

    def product(
        query: Float[np.ndarray, "k r"], key: Float[np.ndarray, "k r"], to: Float[np.ndarray, "1 r"]
    ) -> tuple[Head, ...]:
        return linear(Head(query, key, slots.one, to.T))

    layers = []
    for j in range(1, depth + 1):
        units = range(tokens.sizes[j])
        heads = [
            product(tokens.at("p", j - 1), tokens.row(j, k), tokens.unit("a", j, k)) for k in units
        ]
        a, p = tokens.at("a", j), tokens.at("p", j)
        is_linear = linear_output and j == depth
        neurons = linear_neurons(a, p.T) if is_linear else Neurons(a, p.T)
        layers.append(Layer(sum(heads, ()), neurons))
    u = slope * (tokens.at("p", depth) - slots.y)
    s, a = tokens.at("s", depth), tokens.at("a", depth)
    layers.append(Layer((), linear_neurons(u, s.T) if linear_output else _gate(u, a, s, sharpness)))
    for j in range(depth - 1, 0, -1):
        q = slots.q[: tokens.sizes[j]]
        heads = [
            product(tokens.at("s", j + 1), tokens.column(j + 1, k), q[k : k + 1])
            for k in range(tokens.sizes[j])
        ]
        gated = _gate(q, tokens.at("a", j), tokens.at("s", j), sharpness)
        layers.append(Layer(sum(heads, ()), together(gated, linear_neurons(q, -q.T))))
    update = [
        linear(
            Head(
                slots.one,
                tokens.unit("s", j, k),
                tokens.at("p", j - 1),
                -learning_rate / 2 * tokens.row(j, k).T,
            )
        )
        for j, k in tokens.units()
    ]
    layers.append(Layer(sum(update, ()), tokens.finish(box)))
    return construction(
        layers,
        d=tokens.d,
        embed=tokens.embedding(),
        unembed=tokens.at("p", depth),
        repeats=(*tuple(range(len(layers))) * steps, *range(depth)),
        registers=slots.sink,
    )


def _gate(
    z: Float[np.ndarray, "f r"],
    a: Float[np.ndarray, "f r"],
    to: Float[np.ndarray, "f r"],
    sharpness: float,
) -> Neurons:
    """Neurons that add `z [a > 0]`."""
    return Neurons(
        np.concatenate([z + sharpness * a, sharpness * a]),
        np.concatenate([to.T, -to.T], axis=1),
    )
