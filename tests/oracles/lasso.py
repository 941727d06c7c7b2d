"""The Lasso: proximal steps entry by entry, and scikit-learn for their limit."""

import numpy as np
from sklearn.linear_model import Lasso


def proximal_step(w, x, y, penalty, rate):
    """One step for one target, each coefficient moved and shrunk by itself."""
    moved = np.array(w)
    for a in range(len(w)):
        slope = sum((x[i] @ w - y[i]) * x[i, a] for i in range(len(x))) / len(x)
        value = w[a] - rate * slope
        moved[a] = np.sign(value) * max(abs(value) - rate * penalty, 0.0)
    return moved


def ista(prompt, penalty, rate, *, steps):
    w = np.zeros((prompt.p, prompt.d))
    found = [prompt.xq @ w.T]
    for _ in range(steps):
        w = np.stack(
            [proximal_step(w[k], prompt.x, prompt.y[:, k], penalty, rate) for k in range(prompt.p)]
        )
        found.append(prompt.xq @ w.T)
    return np.stack(found)


def fista(prompt, penalty, rate, *, steps):
    """Beck and Teboulle's numbering: the lookahead point of step k is built from steps k-1, k-2."""
    points = [np.zeros((prompt.p, prompt.d))] * 2
    t = [1.0]
    for _ in range(steps):
        t.append((1 + np.sqrt(1 + 4 * t[-1] ** 2)) / 2)
    for k in range(1, steps + 1):
        coefficient = 0.0 if k == 1 else (t[k - 2] - 1) / t[k - 1]
        ahead = points[-1] + coefficient * (points[-1] - points[-2])
        points.append(
            np.stack(
                [
                    proximal_step(ahead[j], prompt.x, prompt.y[:, j], penalty, rate)
                    for j in range(prompt.p)
                ]
            )
        )
    return np.stack([prompt.xq @ w.T for w in points[1:]])


def minimiser(prompt, penalty):
    """Predictions of scikit-learn's Lasso at the queries."""
    model = Lasso(alpha=penalty, fit_intercept=False, tol=1e-14, max_iter=100_000)
    return model.fit(prompt.x, prompt.y).predict(prompt.xq)
