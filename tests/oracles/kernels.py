"""Kernel methods by explicit kernel matrices: what attention computes, written as tables."""

import numpy as np
import scipy.special
from scipy.spatial.distance import cdist


def matrix(a, b, name, bandwidth=1.0):
    """The kernel between the rows of `a` (attending) and the rows of `b` (attended to)."""
    match name:
        case "linear":
            return np.einsum("ik,jk->ij", a, b)
        case "relu":
            return np.maximum(np.einsum("ik,jk->ij", a, b), 0.0)
        case "exp":
            return np.exp(np.einsum("ik,jk->ij", a, b))
        case "rbf":
            return np.exp(-cdist(a, b, "sqeuclidean") / (2 * bandwidth**2))
        case "softmax":
            return scipy.special.softmax(np.einsum("ik,jk->ij", a, b), axis=1)


def operators(prompt, name, bandwidth=1.0):
    """What averages for context and queries: kernel matrices over n, or softmax weights."""
    n = 1 if name == "softmax" else prompt.n
    return (
        matrix(prompt.x, prompt.x, name, bandwidth) / n,
        matrix(prompt.xq, prompt.x, name, bandwidth) / n,
    )


def functional_gradient_descent(prompt, rate, name, *, steps, bandwidth=1.0):
    """`f_k = eta A_q sum_{j<k} (I - eta A)^j y`: powers of the context's operator, no recursion."""
    context, queries = operators(prompt, name, bandwidth)
    left = np.eye(prompt.n) - rate * context
    powers = [np.linalg.matrix_power(left, k) for k in range(steps)]
    sums = [sum(powers[:k], np.zeros_like(left)) for k in range(steps + 1)]
    return np.stack([rate * queries @ s @ prompt.y for s in sums])


def kernel_ridge(prompt, penalty, rate, name, *, steps, bandwidth=1.0):
    """`b_k = (I - (I - eta B)^k) B^{-1} y` with `B = K/n + lambda I`."""
    context, queries = operators(prompt, name, bandwidth)
    system = context + penalty * np.eye(prompt.n)
    limit = np.linalg.solve(system, prompt.y)
    left = np.eye(prompt.n) - rate * system
    powers = (np.linalg.matrix_power(left, k) for k in range(steps + 1))
    return np.stack([queries @ (limit - power @ limit) for power in powers])


def nadaraya_watson(prompt, bandwidth):
    """The ratio of two sums, as it is defined."""
    weights = matrix(prompt.xq, prompt.x, "rbf", bandwidth)
    return weights @ prompt.y / weights.sum(axis=1, keepdims=True)
