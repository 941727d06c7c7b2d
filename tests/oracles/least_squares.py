"""Iterative least squares in closed form: the spectrum of the covariates says it all.

Every method here leaves of its first error a polynomial in S = (1/n) sum_i x_i x_i^T,

    W_k = W* + (W_0 - W*) r_k(S),        W* the least-squares solution of smallest norm,

so that its k-th iterate follows from eigenvalues, without taking k steps.
"""

import numpy as np
import scipy.special
from sklearn.linear_model import Ridge


def solution(prompt):
    """The least-squares weights of smallest norm, `(p, d)`."""
    return np.linalg.lstsq(prompt.x, prompt.y, rcond=None)[0].T


def second_moment(prompt):
    return prompt.x.T @ prompt.x / prompt.n


def iterates(prompt, residual, *, steps, weights=None):
    """Predictions after 0, ..., `steps` steps of a method with residual polynomials r_k(s)."""
    weights = np.zeros((prompt.p, prompt.d)) if weights is None else weights
    best = solution(prompt)
    eigenvalues, basis = np.linalg.eigh(second_moment(prompt))
    found = []
    for k in range(steps + 1):
        factors = np.array([residual(k, s) for s in eigenvalues])
        found.append(prompt.xq @ (best + (weights - best) @ (basis * factors) @ basis.T).T)
    return np.stack(found)


def gradient_descent(learning_rate):
    return lambda k, s: (1 - learning_rate * s) ** k


def heavy_ball(learning_rate, momentum):
    """Powers of the companion matrix of `e_{k+1} = (1 + beta - eta s) e_k - beta e_{k-1}`."""

    def residual(k, s):
        companion = np.array([[1 + momentum - learning_rate * s, -momentum], [1.0, 0.0]])
        return (np.linalg.matrix_power(companion, k) @ np.ones(2))[0]

    return residual


def chebyshev(smallest, largest):
    centre, radius = (largest + smallest) / 2, (largest - smallest) / 2

    def residual(k, s):
        top = scipy.special.eval_chebyt(k, (centre - s) / radius)
        return top / scipy.special.eval_chebyt(k, centre / radius)

    return residual


def gd_plus_plus(learning_rate, curvature):
    """Products of `1 - eta s_j`, where `s_0 = s` and `s_{j+1} = s_j (1 - gamma s_j)^2`."""

    def residual(k, s):
        product = 1.0
        for _ in range(k):
            product, s = product * (1 - learning_rate * s), s * (1 - curvature * s) ** 2
        return product

    return residual


def newton_schulz(scale):
    """`M_0 = alpha S` is already one application: `I - M_0 S = I - alpha S^2`."""
    return lambda k, s: (1 - scale * s**2) ** (2**k)


def preconditioned(prompt, preconditioner, *, steps, weights=None):
    """Powers of the error's propagator, `I - S A^T`; not a polynomial in S, so apart."""
    weights = np.zeros((prompt.p, prompt.d)) if weights is None else weights
    best = solution(prompt)
    propagator = np.eye(prompt.d) - second_moment(prompt) @ preconditioner.T
    powers = (np.linalg.matrix_power(propagator, k) for k in range(steps + 1))
    return np.stack([prompt.xq @ (best + (weights - best) @ power).T for power in powers])


def krylov(prompt, *, steps, weights=None):
    """The best weights, by target, in `W_0` plus the Krylov space of dimension 0, ..., `steps`."""
    weights = np.zeros((prompt.p, prompt.d)) if weights is None else weights
    matrix, best = second_moment(prompt), solution(prompt)
    found = [weights.copy() for _ in range(steps + 1)]
    for target in range(prompt.p):
        error = best[target] - weights[target]
        basis = np.zeros((prompt.d, 0))
        fresh = matrix @ error
        for k in range(1, steps + 1):
            if k <= prompt.d:
                for _ in range(2):  # Gram and Schmidt, twice: once loses digits
                    fresh = fresh - basis @ (basis.T @ fresh)
                basis = np.column_stack([basis, fresh / np.linalg.norm(fresh)])
                fresh = matrix @ basis[:, -1]
            small = np.linalg.solve(basis.T @ matrix @ basis, basis.T @ matrix @ error)
            found[k][target] += basis @ small
    return np.stack([prompt.xq @ w.T for w in found])


def ridge(prompt, penalty):
    """scikit-learn's ridge regression; `penalty` stands beside the mean of the squares."""
    model = Ridge(alpha=prompt.n * penalty, fit_intercept=False, solver="cholesky")
    return model.fit(prompt.x, prompt.y).predict(prompt.xq)
