r"""What a predictor does to each eigendirection of the context: its spectral response.

    S = (1/n) sum_i x_i x_i^T = sum_i l_i u_i u_i^T      C = (1/n) sum_i y_i x_i^T
    g_i = <W u_i, C u_i> / |C u_i|^2                     W = d yhat / d x_q, the implicit weights

Every method for linear regression that is linear in the targets and has no direction of its own is
a filter, `W = sum_i g(l_i) C u_i u_i^T`, and its `g` names it:

    k steps of gradient descent   (1 - (1 - eta l)^k) / l          ridge           1 / (l + penalty)
    k steps of iterative Newton   (1 - (1 - alpha l^2)^(2^k)) / l  least squares   1 / l

Axes: `b` prompts, `m` queries, `d` covariates, `p` targets.
Reference: Engl, Hanke and Neubauer, Regularization of Inverse Problems (1996), Chapter 4.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from innerloop.diagnostics._predictors import Predictor, Prompts, batch, sensitivities


class Response(NamedTuple):
    """The spectral response of a predictor.

    Args:
        eigenvalues: `l_i` of every prompt, ascending.
        gains: `g_i`.
        weights: `|C u_i|^2`, by which a gain counts: where it is small the gain is noise.
        unexplained: By prompt, the share of `|W|^2` that no filter gives.
    """

    eigenvalues: Float[np.ndarray, "b d"]
    gains: Float[np.ndarray, "b d"]
    weights: Float[np.ndarray, "b d"]
    unexplained: Float[np.ndarray, " b"]


def spectral_response(predictor: Predictor, prompts: Prompts) -> Response:
    """Measures a predictor's gain in every eigendirection of each prompt's second moment.

    Args:
        predictor: From a prompt to `(m, p)`; its implicit weights are averaged over the queries.
        prompts: Prompts of equal sizes.

    Returns:
        Eigenvalues, gains and their weights, and what is left over.

    Example:
        >>> from innerloop.algorithms import gradient_descent
        >>> from innerloop.diagnostics import after
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[2.0]], [[1.0]], [[1.0]])
        >>> found = spectral_response(after(gradient_descent(0.125), 2), prompt)
        >>> found.eigenvalues.item(), found.gains.item()
        (4.0, 0.1875)
    """
    whole = batch(prompts)
    x, y = (np.asarray(a, np.float64) for a in (whole.x, whole.y))
    implicit = np.asarray(sensitivities(predictor, whole), np.float64).mean(axis=1)
    n = x.shape[1]
    eigenvalues, vectors = np.linalg.eigh(np.einsum("bnd,bne->bde", x, x) / n)
    moment = np.einsum("bnp,bnd,bdi->bpi", y, x, vectors) / n
    along = np.einsum("bpd,bdi->bpi", implicit, vectors)
    weights = np.sum(moment**2, axis=1)
    gains = np.sum(along * moment, axis=1) / np.maximum(weights, np.finfo(float).tiny)
    left = np.sum((along - gains[:, None] * moment) ** 2, axis=(1, 2))
    size = np.maximum(np.sum(along**2, axis=(1, 2)), np.finfo(float).tiny)
    return Response(eigenvalues, gains, weights, left / size)
