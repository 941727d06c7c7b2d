r"""Gradient descent on deep features: an MLP, then linear attention: von Oswald et al., Prop. 2.

    e <- e + m~(e): (x; y) -> (m(x); y),      then Proposition 1 on (m(x); y)

Proof. The MLP of a block sees one token and may turn `x` into any features `m(x)` it can compute;
attention after it is Proposition 1 with `m(x)` for `x`. So the layers descend on
`1/(2n) sum_i |W m(x_i) - y_i|^2`, which from `W_0 = 0` is kernel regression with the kernel
`k(a, b) = <m(a), m(b)>`: `f_{l+1}(x) = f_l(x) + (eta/n) sum_i (y_i - f_l(x_i)) k(x_i, x)`.

The residual connection needs the neurons to take `x` away again, `-x = max(-x, 0) - max(x, 0)`.
The first layer's prediction is `(eta/n) sum_i y_i k(x_i, x_q)`. Departs from von Oswald et al.,
equation 13, which leaves out the factor `eta/n`.
Axes: `d` covariates, `f` hidden neurons, `c` features, `p` targets.
Reference: von Oswald et al. (2023), arXiv:2212.07677, Proposition 2.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from innerloop.constructions._blocks import Layer, Neurons, Slots, linear_neurons, together
from innerloop.constructions._construction import Construction, construction
from innerloop.constructions._gradient_descent import gradient_head


class Features(NamedTuple):
    """Features by one hidden layer of ReLU neurons: `m(x) = output max(input x + bias, 0)`."""

    input: Float[np.ndarray, "f d"]
    bias: Float[np.ndarray, " f"]
    output: Float[np.ndarray, "c f"]


def deep_features(features: Features, *, p: int, steps: int, learning_rate: float) -> Construction:
    r"""Gradient descent from zero on `1/(2n) sum_i |W m(x_i) - y_i|^2`.

    Args:
        features: The MLP `m`.
        p: The number of targets.
        steps: How many gradient steps.
        learning_rate: The step size `eta`.

    Returns:
        The construction: `steps + 1` layers, the first of neurons only.

    Example:
        The feature `max(x, 0)` sees only positive covariates.

        >>> import numpy as np
        >>> from innerloop.prompts import Prompt
        >>> relu = Features(np.ones((1, 1)), np.zeros(1), np.ones((1, 1)))
        >>> model = deep_features(relu, p=1, steps=1, learning_rate=0.5)
        >>> model(Prompt([[1.0], [-1.0]], [[1.0], [5.0]], [[2.0], [-2.0]])).tolist()
        [[0.5], [0.0]]
    """
    d, c = features.input.shape[1], len(features.output)
    slots = Slots(z=max(d, c), y=p)
    x, z = slots.z[:d], slots.z[:c]
    computed = Neurons(features.input @ x, z.T @ features.output, features.bias)
    layers = [
        Layer((), together(computed, linear_neurons(x, -x.T))),
        Layer((gradient_head(z, slots.y, learning_rate, np.zeros((p, c))),)),
    ]
    context = x.T @ np.eye(d, d + p + 1) + slots.y.T @ np.eye(p, d + p + 1, k=d)
    return construction(
        layers, d=d, embed=(context, context), unembed=-slots.y, repeats=(0, *(1,) * steps)
    )
