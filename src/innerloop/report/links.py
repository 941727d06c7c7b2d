r"""From a network's outputs to its answer: a link function, and how good its probabilities are.

    identity  f                         exp      e^f
    softmax   e^f_k / sum_j e^f_j       sigmoid  s(f_k) / sum_j s(f_j),  s(f) = 1 / (1 + e^-f)

Axes: `s` iterates, `p` targets or classes.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.special import expit, softmax

Link = Literal["identity", "exp", "softmax", "sigmoid"]
PROBABILITIES: tuple[Link, ...] = ("softmax", "sigmoid")
LEAST = 1e-300


def linked(outputs: Float[np.ndarray, "*s p"], link: Link) -> Float[np.ndarray, "*s p"]:
    """The answers that a network's outputs stand for.

    Example:
        >>> linked(np.array([0.0, 0.0]), "softmax"), linked(np.array([0.0]), "exp")
        (array([0.5, 0.5]), array([1.]))
    """
    match link:
        case "exp":
            return np.exp(outputs)
        case "softmax":
            return np.asarray(softmax(outputs, axis=-1))
        case "sigmoid":
            shares = np.maximum(expit(outputs), LEAST)
            return shares / shares.sum(-1, keepdims=True)
        case _:
            return outputs


def log_loss(
    probabilities: Float[np.ndarray, "*s rows p"], y: Float[np.ndarray, "rows p"]
) -> Float[np.ndarray, "*s"]:
    """The mean of minus the logarithm of the right class's probability; `y` is one-hot.

    Example:
        >>> float(log_loss(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])))
        0.6931471805599453
    """
    right = (probabilities * y).sum(-1)
    return np.asarray(-np.log(np.maximum(right, LEAST)).mean(-1))
