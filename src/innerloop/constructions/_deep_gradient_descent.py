r"""Gradient descent on an N-layer network, 2N + 4 layers a step, as printed: Wu et al., Theorem 1.

    w <- Proj_W(w - eta grad L_n(w))     L_n(w) = (1/2n) sum_i loss(f(w, x_i), y_i)     u = loss'
    s(N) = r'(N-1) * u   s(j) = r'(j-1) * (V_{j+1}^T s(j+1))   dL/dV_j = (1/2n) sum_i s(j) p(j-1)^T

| layers       | kind   | what a token gains |
|---|---|---|
| 1 .. N       | ReLU attention | `p(j) = r(V_j p(j-1))` (Lemma 2) |
| N + 1        | ReLU attention | `r'(j-1)[k] = r'(<v_jk, p(j-1)>)`, all units (Lemma 3) |
| N + 2        | MLP            | `g = t u(p(N), y)` (Lemma 4) |
| N + 3        | multiplication | `s(N) = r'(N-1) * g` |
| N+4 .. 2N+2  | multiplication | `s(j) = r'(j-1) * (V_{j+1}^T s(j+1))` (Lemma 5) |
| 2N + 3       | ReLU attention | `v_jk -= eta (n+1)/(2n) mean_s s_s(j)[k] p_s(j-1)` |
| 2N + 4       | MLP            | the projection on a box, and zeros in all scratch |

Proof. Layer by layer above: attention normalises by all `T = n + 1` tokens, of which the query's is
one; it holds the same `w`, so reading it changes no product with `w`, and `t = 0` makes its `g`,
hence its `s`, zero, so it adds nothing to the gradient; `(n+1)/n` turns the mean over tokens into
that over the context. An element-wise multiplication layer is linear attention of a token to
itself. After a step every token is `(x; y; w; 0; 1; t)` again, so the same weights take the next.
Another `N` layers of Lemma 2 leave the prediction in the query.

For ReLU every part is exact but for pre-activations in `(0, margin)`; for a smooth activation see
`_deep_bounds`. Departs from Wu et al.: explicit interpolants where they cite existence; the box
`[-b, b]` is the projection, which they assume to be an MLP; the scratch is erased, `g` included,
which (3.22) forgets. Lemma 3 counts `K (N-1)` units; there are `K (N-1) + p`.
Departs from Wu et al., Problem 1: `w(0)` is the user's. At `w(0) = 0` a ReLU network never moves,
and the units of a sigmoid network stay equal for ever.
Axes: as in `_deep_tokens`; `d` and `p` may differ (their Theorem 4).
Reference: Wu et al. (2024), arXiv:2411.16549, Theorems 1 and 4, Lemmas 1 to 6.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from innerloop.constructions._blocks import LINEAR, RELU, Head, Layer, Neurons
from innerloop.constructions._construction import Construction, construction
from innerloop.constructions._deep_tokens import EVERYONE, Activation, DeepTokens


def deep_gradient_descent(
    weights: Sequence[Float[np.ndarray, "_ _"]],
    *,
    examples: int,
    steps: int,
    learning_rate: float,
    activation: Activation,
    output: Activation | None = None,
    box: float,
    slope: float = 2.0,
    largest: float = 1e3,
    products: Literal["multiplication", "positions"] = "multiplication",
    largest_score: float = 1e3,
) -> Construction:
    r"""Projected gradient descent on a network without biases, as Wu et al. print it.

    Args:
        weights: `w(0)`: `V_1, ..., V_N`, each `(K_j, K_{j-1})`.
        examples: `n`, which the weights know; on prompts of `n'` examples the step size becomes
            `eta n' (n+1) / (n (n'+1))`.
        steps: The number `L` of gradient steps.
        learning_rate: The step size `eta`.
        activation: `r` of every layer.
        output: `r` of the last layer, if it is another.
        box: The bound `b` on every weight.
        slope: `kappa` in `u = kappa (prediction - y)`: 2 for the squared error, 1 for half of it.
        largest: A bound `R_3` on `|u|`, behind which the train bit closes the gate.
        products: `multiplication` layers, or two ReLU heads with position codes in their place.
        largest_score: A bound `M` on `|<Q h_i, K h_s>|` of multiplications, for `positions`.

    Returns:
        The construction: `(2N + 4) L + N` layers, of one sub-layer each.

    Example:
        >>> from innerloop.constructions._deep_tokens import NO_ACTIVATION
        >>> from innerloop.prompts import Prompt
        >>> model = deep_gradient_descent(
        ...     [np.ones((1, 1)), np.ones((1, 1))], examples=1, steps=1, learning_rate=0.125,
        ...     activation=NO_ACTIVATION, box=10.0,
        ... )
        >>> model.depth, model(Prompt([[1.0]], [[3.0]], [[1.0]])).tolist()
        (10, [[1.5625]])
    """
    output = activation if output is None else output
    codes = examples + 1 if products == "positions" else 0
    extra = {"place": codes} if codes else {}
    tokens = DeepTokens(weights, "prs", g=len(weights[-1]), t=1, **extra)
    depth, slots = tokens.depth, tokens.slots
    layers = [tokens.forward(j, activation) for j in range(1, depth)]
    layers.append(tokens.forward(depth, output))
    derivatives = [
        tokens.forward(j, output if j == depth else activation, "r").heads
        for j in range(1, depth + 1)
    ]
    layers.append(Layer(tuple(head for heads in derivatives for head in heads)))
    layers.append(Layer((), _loss_slope(tokens, slope, largest)))
    layers.append(
        Layer(
            tuple(
                _multiplication(slots.g[k : k + 1], slots.one, tokens, depth, k)
                for k in range(tokens.p)
            )
        )
    )
    for j in range(depth - 1, 0, -1):
        units = range(tokens.sizes[j])
        layers.append(
            Layer(
                tuple(
                    _multiplication(tokens.column(j + 1, k), tokens.at("s", j + 1), tokens, j, k)
                    for k in units
                )
            )
        )
    if codes:
        layers = [_by_positions(layer, slots.place, slots.one, largest_score) for layer in layers]
    layers.append(update_layer(tokens, learning_rate * (examples + 1) / (2 * examples)))
    layers.append(Layer((), tokens.finish(box, "g")))
    return construction(
        layers,
        d=tokens.d,
        embed=tokens.embedding(codes),
        unembed=tokens.at("p", depth),
        repeats=(*tuple(range(len(layers))) * steps, *range(depth)),
        divisor="tokens",
        one_query=True,
    )


def update_layer(
    tokens: DeepTokens, rate: float, gate: Float[np.ndarray, "c r"] | None = None
) -> Layer:
    """`v_jk -= rate mean_s s_s(j)[k] p_s(j-1)`: two ReLU heads for each unit.

    Args:
        tokens: Where a token holds what.
        rate: The step size, beside the mean over tokens.
        gate: What is subtracted from a key's score, to keep the query out; nothing by default.
    """
    one = tokens.slots.one
    gates = np.zeros_like(one) if gate is None else gate
    return Layer(
        tuple(
            Head(
                query=np.concatenate([sign * one, -one]),
                key=np.concatenate([tokens.unit("s", j, k), gates]),
                value=tokens.at("p", j - 1),
                output=-sign * rate * tokens.row(j, k).T,
                kernel=RELU,
                sources=EVERYONE,
            )
            for j, k in tokens.units()
            for sign in (1.0, -1.0)
        )
    )


def _loss_slope(tokens: DeepTokens, slope: float, largest: float) -> Neurons:
    """`g = t u`: `max(u - R (1 - t), 0) - max(-u - R (1 - t), 0)`."""
    slots = tokens.slots
    u = slope * (tokens.at("p", tokens.depth) - slots.y)
    closed = -largest * (slots.one - slots.t)
    return Neurons(
        np.concatenate([u + closed, -u + closed]),
        np.concatenate([slots.g.T, -slots.g.T], axis=1),
    )


def _multiplication(
    query: Float[np.ndarray, "k r"],
    key: Float[np.ndarray, "k r"],
    tokens: DeepTokens,
    j: int,
    k: int,
) -> Head:
    """`s(j)[k] += <query h, key h> r'(j-1)[k]`, token by token."""
    return Head(
        query,
        key,
        value=tokens.unit("r", j, k),
        output=tokens.unit("s", j, k).T,
        kernel=LINEAR,
        average=False,
        sources=EVERYONE,
        alone=True,
    )


def _by_positions(
    layer: Layer, place: Float[np.ndarray, "T r"], one: Float[np.ndarray, "1 r"], largest: float
) -> Layer:
    """Multiplications as pairs of ReLU heads whose scores vanish off the diagonal.

    `max(<Q h_i, K h_s> + M <pos_i, pos_s> - M, 0)` is `max(<Q h_i, K h_i>, 0)` at `s = i`, and zero
    at every other token as long as no score exceeds `M`; `T` undoes the mean over tokens.
    """
    heads = []
    for head in layer.heads:
        if not head.alone:
            heads.append(head)
            continue
        key = np.concatenate([head.key, place, one])
        for sign in (1.0, -1.0):
            query = np.concatenate([sign * head.query, largest * place, -largest * one])
            output = sign * len(place) * head.output
            heads.append(Head(query, key, head.value, output, kernel=RELU, sources=EVERYONE))
    return layer._replace(heads=tuple(heads))
