r"""Covariates and targets in turn: a layer copies the next token: von Oswald et al., Prop. 3.

    x_1, y_1, x_2, y_2, ..., x_n, y_n, x_q        token j = (data_j; p_j), p_j the j-th unit vector
    W_V = [[0, 0], [I, -S]]     W_K = [[0, 0], [0, I]]     W_Q = [[0, 0], [0, S^T]]     P = I

Proof. `S p_{j+1} = p_j`, so the query of token `j` is `p_{j+1}` and its score is 1 at token `j + 1`
and 0 elsewhere; the value there is `data_{j+1} - p_j`. Added to the lower half, `p_j` becomes
`data_{j+1}`: the token of `x_i` is now `(x_i; y_i)`, what Proposition 1 starts from. A second head
takes from every target's token its own data, so that only `n` tokens have a key in later layers;
the paper says so in words, the matrices here are `W_Q = W_K = diag(odd)` on the lower half.

Departs from von Oswald et al., Prop. 3: `S` has its ones *above* the diagonal. They call it the
lower diagonal; with that, every token copies its predecessor (`shift=-1` here).
Departs from von Oswald et al., Prop. 3: with softmax, logits of 1 leave most of the weight on other
tokens, so they carry an inverse temperature `beta`; the error is at most
`2 max|value| (t - 1) e^-beta` an entry.
Departs from von Oswald et al., Prop. 3: the query has no successor, and the weights of a softmax
have to go somewhere. A register token of zeros succeeds it; linear attention would not need it.
Axes: `d` covariates, `p` targets, `n` examples, `t = 2n + 1` tokens (2N + 1 there).
Reference: von Oswald et al. (2023), arXiv:2212.07677, Proposition 3.
"""

import numpy as np

from innerloop.constructions._blocks import LINEAR, SOFTMAX, Head, Layer, Slots
from innerloop.constructions._construction import Construction, construction
from innerloop.constructions._gradient_descent import gradient_head


def copying_gradient_descent(
    *,
    d: int,
    p: int,
    examples: int,
    steps: int,
    learning_rate: float,
    beta: float | None = None,
    shift: int = 1,
) -> Construction:
    r"""Gradient descent from zero on tokens that hold either covariates or targets.

    Args:
        d: The number of covariates.
        p: The number of targets.
        examples: The largest number of context examples.
        steps: How many gradient steps follow the copying.
        learning_rate: The step size `eta`.
        beta: The inverse temperature of softmax copying; linear copying by default.
        shift: The diagonal of `S` that holds the ones; the paper's words give -1.

    Returns:
        The construction: `steps + 1` layers, the first of two heads.

    Raises:
        ValueError: If there are fewer positions than data have coordinates.

    Example:
        >>> from innerloop.prompts import Prompt
        >>> model = copying_gradient_descent(d=1, p=1, examples=2, steps=1, learning_rate=0.5)
        >>> model(Prompt([[1.0], [2.0]], [[1.0], [2.0]], [[1.0]])).tolist()
        [[1.25]]
    """
    positions, size = 2 * examples + 1, max(d, p)
    if positions < size:
        raise ValueError(
            f"data of {size} coordinates are copied over {positions} positions and do not fit; "
            "take more examples."
        )
    slots = Slots(data=size, place=positions + 1)
    copied = slots.place[:size]
    layers = [
        copying_layer(slots, beta=beta, shift=shift),
        Layer(
            (gradient_head(slots.data[:d], copied[size - p :], learning_rate, np.zeros((p, d))),)
        ),
    ]
    inputs = d + p + 1 + positions
    x, y, one = np.eye(d, inputs), np.eye(p, inputs, k=d), np.eye(1, inputs, k=d + p)
    code = slots.place[:positions].T @ np.eye(positions, inputs, k=d + p + 1)
    covariates = slots.data[:d].T @ x
    end = np.zeros((1, slots.width))
    end[0, -1] = 1.0
    return construction(
        layers,
        d=d,
        embed=(
            covariates + code,
            slots.data[size - p :].T @ y + code,
            covariates + slots.place[positions - 1 : positions].T @ one,
        ),
        unembed=-copied[size - p :],
        repeats=(0, *(1,) * steps),
        registers=end,
    )


def copying_layer(slots: Slots, *, beta: float | None, shift: int) -> Layer:
    """The layer of Proposition 3 on slots `data` and `place`: copies, and clears targets' data."""
    size, codes = len(slots.data), len(slots.place)
    kernel, beta = (LINEAR, 1.0) if beta is None else (SOFTMAX, beta)
    successor = np.eye(codes, k=shift)
    data = slots.place[:size].T @ slots.data
    copy = Head(
        query=beta * successor.T @ slots.place,
        key=slots.place,
        value=slots.place @ data - successor @ slots.place,
        output=slots.place.T,
        kernel=kernel,
        average=False,
    )
    is_target = np.diag(np.arange(codes) % 2.0)
    elsewhere = np.outer(np.eye(codes)[-1], 1.0 - np.diag(is_target))  # to the register of zeros
    clear = Head(
        query=beta * (is_target + elsewhere) @ slots.place,
        key=slots.place,
        value=slots.data,
        output=-slots.data.T,
        kernel=kernel,
        average=False,
    )
    return Layer((copy, clear))
