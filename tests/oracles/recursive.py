"""Ridge regression on the first k examples, solved afresh for every k."""

import numpy as np


def prefixes(prompt, penalty, *, steps):
    """Predictions after 0, ..., `steps` examples; the position is the last column of `x`."""
    order = np.argsort(prompt.x[:, -1])
    x, y, xq = prompt.x[order, :-1], prompt.y[order], prompt.xq[:, :-1]
    found = []
    for k in range(steps + 1):
        penalised = x[:k].T @ x[:k] + penalty * np.eye(x.shape[1])
        found.append(xq @ np.linalg.solve(penalised, x[:k].T @ y[:k]))
    return np.stack(found)
