r"""A step of gradient descent is a layer of linear attention: von Oswald et al., Proposition 1.

    token e = (x; y)    W_K = W_Q = [[I, 0], [0, 0]]    W_V = [[0, 0], [W_0, -I]]    P = (eta / n) I

Proof. `sum_i P W_V e_i <W_K e_i, W_Q e_j> = (eta / n) sum_i (W_0 x_i - y_i) <x_i, x_j>`, below the
covariates, is `-dW x_j` for the gradient step `dW = -(eta / n) sum_i (W_0 x_i - y_i) x_i^T`. So
every token does `y_j <- y_j - dW x_j`: the context keeps what is left to explain. Another layer of
the same weights sees `W_0 x_i - (y_i - dW x_i) = (W_0 + dW) x_i - y_i`, the residual after a step,
and takes the next: `W_0` in `W_V` is that of the start in every layer. The query begins as
`(x_q; -W_0 x_q)`, ends as `-(W_0 + sum dW) x_q`, and is read with a minus sign.

`1/n` stands in the head, which divides by the number of examples, so that weights do not know `n`.
Axes: `d` covariates (N_x there), `p` targets (N_y), `n` examples (N), `steps` layers (K).
Reference: von Oswald et al. (2023), arXiv:2212.07677, Proposition 1, Sections 3 and A.6.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from innerloop.constructions._blocks import Head, Layer, Slots
from innerloop.constructions._construction import Construction, construction


def gradient_descent(
    *,
    d: int,
    p: int,
    steps: int,
    learning_rate: float | Sequence[float],
    weights: Float[np.ndarray, "p d"] | None = None,
    damping: float = 1.0,
) -> Construction:
    r"""Gradient descent on `1/(2n) sum_i |W x_i - y_i|^2`, a linear head a step.

    Args:
        d: The number of covariates.
        p: The number of targets.
        steps: The number of layers.
        learning_rate: The step size `eta`: one number for a looped model, or one a layer.
        weights: `W_0`, `(p, d)`; zeros by default.
        damping: The factor `lambda` of the attention's output in looped roll-outs (A.6), which is
            a factor of the step size.

    Returns:
        The construction: width `d + p`, `steps` layers of one head, no neurons.

    Example:
        >>> import numpy as np
        >>> from innerloop.prompts import Prompt
        >>> model = gradient_descent(d=1, p=1, steps=3, learning_rate=0.125)
        >>> model(Prompt([[2.0]], [[1.0]], [[2.0]])).tolist()
        [[0.875]]
    """
    rates = [learning_rate] if isinstance(learning_rate, int | float) else list(learning_rate)
    if len(rates) not in (1, steps):
        raise ValueError(f"learning_rate must be one number or {steps}; got {len(rates)}.")
    start = np.zeros((p, d)) if weights is None else weights
    slots = Slots(x=d, y=p)
    layers = [Layer((gradient_head(slots.x, slots.y, damping * rate, start),)) for rate in rates]
    return construction(
        layers,
        d=d,
        embed=pair_tokens(slots, start),
        unembed=-slots.y,
        repeats=steps if len(rates) == 1 else 1,
    )


def gradient_head(
    x: Float[np.ndarray, "d r"],
    y: Float[np.ndarray, "p r"],
    learning_rate: float,
    weights: Float[np.ndarray, "p d"],
) -> Head:
    """The head of Proposition 1, on slots that hold covariates and targets."""
    return Head(
        query=x,
        key=x,
        value=weights @ x - y,
        output=learning_rate * y.T,
    )


def pair_tokens(
    slots: Slots, weights: Float[np.ndarray, "p d"]
) -> tuple[Float[np.ndarray, "r inputs"], Float[np.ndarray, "r inputs"]]:
    """`W_E` of context tokens `(x; y)` and of queries `(x; -W_0 x)`."""
    p, d = weights.shape
    x, y = np.eye(d, d + p + 1), np.eye(p, d + p + 1, k=d)
    return slots.x.T @ x + slots.y.T @ y, slots.x.T @ x - slots.y.T @ weights @ x
