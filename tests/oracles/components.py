"""Principal components: powers of eigenvalues, and singular vectors for their limit."""

import numpy as np


def power_iteration(prompt, start, *, steps):
    """The regression on `<v_k, x>`, with `v_k` along `S^k v_0`."""
    eigenvalues, basis = np.linalg.eigh(prompt.x.T @ prompt.x / prompt.n)
    found = [np.zeros((prompt.m, prompt.p))]
    for k in range(1, steps + 1):
        image = basis @ (eigenvalues**k * (basis.T @ start))
        direction = image / np.linalg.norm(image)
        loading = np.linalg.lstsq((prompt.x @ direction)[:, None], prompt.y, rcond=None)[0]
        found.append((prompt.xq @ direction)[:, None] @ loading)
    return np.stack(found)


def projection(prompt):
    """The queries projected on the first right singular vector of the context."""
    vector = np.linalg.svd(prompt.x)[2][0]
    return prompt.xq @ np.outer(vector, vector)
