r"""Learning example by example: Akyurek et al., Theorems 1 and 2.

SGD (Theorem 1):   `w <- w - 2 alpha ((<w, x_k> - y_k) x_k + lambda w)`
Sherman-Morrison (Theorem 2):
    z = P x_k     g = 1 / (1 + <x_k, z>)     w <- w + g (y_k - <w, x_k>) z     P <- P - g z z^T

Proof. Every token carries the state. Layer by layer for example `k`:

| layer | SGD | Sherman-Morrison |
|---|---|---|
| 1 | mov `(x_k; y_k)`; mul: `e = y_k - <w, x_k>` | mov; mul: `z = P x_k`, `e = y_k - <w, x_k>` |
| 2 | mul: `w += 2 alpha e x_k`; aff: decay, erase | mul: `c = <x_k, z>` |
| 3 | | div: `g = 1 / (1 + c)` |
| 4 | | mul: `b = g z` |
| 5 | | mul: `w += e b`, `P -= b z^T`; aff: erase |

and a last layer multiplies `w` with each token's own covariates. `P_0 = I / lambda` makes the
second ridge regression on what has been read, since `P = (lambda I + sum x x^T)^{-1}`.
`div` needs `c <= largest`; `c <= |x|^2 / lambda` always.
Width is `O(d)` for SGD and `O(d^2)` for Sherman-Morrison, as in the paper.
Axes: `d` covariates, `p` targets, `n` examples.
Reference: Akyurek et al. (2023), arXiv:2211.15661, Theorems 1 and 2.
"""

import numpy as np

from innerloop.constructions._blocks import Head, Layer, Slots, linear_neurons, together
from innerloop.constructions._construction import Construction, construction
from innerloop.constructions._hinges import Hinges, interpolant
from innerloop.constructions._primitives import (
    apply_hinges,
    codes,
    matrix_vector,
    mov,
    mul,
    outer,
)


def online_gradient_descent(
    *, d: int, p: int, examples: int, steps: int, learning_rate: float, penalty: float, delta: float
) -> Construction:
    r"""One pass of SGD on `sum_i |W x_i - y_i|^2 + lambda |W|^2`, an example a step.

    The last covariate of a prompt is a position, and is not read.

    Args:
        d: The number of covariates that are read.
        p: The number of targets.
        examples: The largest number of context examples.
        steps: How many of them are read, from the first on.
        learning_rate: `alpha`.
        penalty: `lambda`.
        delta: The scale of GeLU's arguments; the error is `O(delta^2)`.

    Returns:
        The construction: `2 steps + 1` layers of GeLU neurons.
    """
    slots = Slots(x=d, y=p, one=1, place=examples + 1, w=p * d, u=d, e=p, out=p)
    error = mul(*matrix_vector(slots.w, slots.u, -slots.e.T), delta)
    move = mul(*outer(slots.e, slots.u, 2 * learning_rate * slots.w.T), delta)
    scratch = np.concatenate([slots.u, slots.e])
    layers = []
    for k in range(steps):
        layers.append(Layer((_read(slots, k),), error))
        decay = linear_neurons(slots.w, -2 * learning_rate * penalty * slots.w.T)
        layers.append(Layer((), together(move, decay, linear_neurons(scratch, -scratch.T))))
    answer = mul(*matrix_vector(slots.w, slots.x, slots.out.T), delta)
    layers.append(Layer((), answer))
    return _online(layers, slots, d, p, examples, activation="gelu")


def sherman_morrison(
    *, d: int, p: int, examples: int, steps: int, penalty: float, largest: float, hinges: int
) -> Construction:
    r"""Recursive least squares, an example a step.

    The last covariate of a prompt is a position, and is not read.

    Args:
        d: The number of covariates that are read.
        p: The number of targets.
        examples: The largest number of context examples.
        steps: How many of them are read, from the first on.
        penalty: `lambda`.
        largest: A bound on `<x, P x>`.
        hinges: How many intervals `div` has on `[0, largest]`; the error falls with their square.

    Returns:
        The construction: `5 steps + 1` layers of ReGLU neurons, width `O(d^2)`.
    """
    slots = Slots(
        x=d, y=p, one=1, place=examples + 1, w=p * d, inverse=d * d, u=d, e=p, z=d, c=1, g=1, b=d,
        out=p,
    )  # fmt: skip
    scratch = np.concatenate([slots.u, slots.e, slots.z, slots.c, slots.g, slots.b])
    image = mul(*matrix_vector(slots.inverse, slots.u, slots.z.T))
    error = mul(*matrix_vector(slots.w, slots.u, -slots.e.T))
    scaled = mul(np.repeat(slots.g, d, axis=0), slots.z, slots.b.T)
    reciprocal = interpolant(lambda t: 1 / (1 + largest / 2 + t), largest / 2, hinges)
    shifted = Hinges(
        reciprocal.factor, reciprocal.slope, reciprocal.shift - largest / 2 * reciprocal.slope
    )
    finish = together(
        mul(*outer(slots.e, slots.b, slots.w.T)),
        mul(*outer(slots.b, slots.z, -slots.inverse.T)),
        linear_neurons(scratch, -scratch.T),
    )
    layers = []
    for k in range(steps):
        layers += [
            Layer((_read(slots, k),), together(image, error)),
            Layer((), mul(slots.u, slots.z, np.repeat(slots.c.T, d, axis=1))),
            Layer((), apply_hinges(shifted, slots.c, slots.g.T)),
            Layer((), scaled),
            Layer((), finish),
        ]
    layers.append(Layer((), mul(*matrix_vector(slots.w, slots.x, slots.out.T))))
    start = slots.inverse.T @ np.eye(d).reshape(-1, 1) / penalty
    return _online(layers, slots, d, p, examples, start=start)


def _read(slots: Slots, k: int) -> Head:
    """Mov of example `k`'s covariates to `u` and its targets to `e`."""
    return mov(
        slots.place[k : k + 1],
        slots.one,
        np.concatenate([slots.x, slots.y]),
        np.concatenate([slots.u, slots.e]).T,
    )


def _online(
    layers: list[Layer],
    slots: Slots,
    d: int,
    p: int,
    examples: int,
    *,
    start: np.ndarray | None = None,
    activation: str = "relu",
) -> Construction:
    """The construction, for prompts of `d + 1` covariates of which the first `d` are read."""
    x, y, one, place = codes(d + 1, p, examples + 1)
    tokens = slots.x.T @ x[:d] + slots.y.T @ y + slots.one.T @ one + slots.place.T @ place
    tokens = tokens if start is None else tokens + start @ one
    return construction(
        layers, d=d + 1, embed=(tokens, tokens), unembed=slots.out, activation=activation
    )
