r"""How wrong a gradient step through sums of hinges can be: Wu et al., Lemmas 2 to 6 and Theorem 1.

Recursions that a proof by norms gives, `e` for errors of vectors in the 2-norm, from a token's
forward pass to its gradient; `|r - r_bar| <= eps_r`, `|r' - r'_bar| <= eps_r'`:

    e_p(j) = sqrt(K_j) eps_r + L_r |V_j| e_p(j-1)      e_r'(j) = eps_r' + L_r' max_k |v_jk| e_p(j-1)
    e_g = L_l e_p(N)        S(N) = B_r' G        S(j) = B_r' |V_{j+1}| S(j+1)
    e_s(N) = e_r'(N) G + (B_r' + eps_r') e_g
    e_s(j) = |V_{j+1}| (e_r'(j) S(j+1) + (B_r' + eps_r') e_s(j+1))
    |grad error| <= 1/2 sqrt(sum_j (e_s(j) P_{j-1} + S(j) e_p(j-1))^2)

with `G` a bound on `|u|`, `P_j` on `|p(j)|`, spectral norms of `V_j`. `printed_errors` is what
the paper states, in row norms `B_v` and one width `P` for all layers.

Departs from Wu et al., Lemma 6 and Theorem 1: `P = max(sqrt K, sqrt d)` is too small for entries,
which they bound. Rows of norm `B_v` have columns of norm up to `sqrt(K) B_v`: for all rows equal to
`B_v e_1`, `V^T (1, ..., 1)` is `K B_v e_1`. With `P = max(K, d)` the steps hold; in the 2-norm, as
above, `sqrt K` would do.
Departs from Wu et al., Corollary 1.1: `n` in `(1 + n L_f)^l` is `eta`, and `eta <= L_f` is
`eta <= 1 / L_f`; `((1 + eta L_f)^l - 1) / L_f` is true and smaller than `(1 + eta L_f)^l / L_f`.
Axes: `N` layers, `K_j` units in layer `j`.
Reference: Wu et al. (2024), arXiv:2411.16549, Lemmas 2 to 6 and 14, Theorem 1, Corollary 1.1.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Smoothness(NamedTuple):
    """What is known of an activation, and of its sums of hinges."""

    value: float  # B_r, the largest |r|
    lipschitz: float  # L_r, of r
    slope: float  # B_r', the largest |r'|
    slope_lipschitz: float  # L_r', of r'
    value_error: float  # eps_r
    slope_error: float  # eps_r'


def sigmoid_smoothness(value_error: float, slope_error: float) -> Smoothness:
    """The sigmoid's constants."""
    return Smoothness(1.0, 0.25, 0.25, 1 / (6 * math.sqrt(3)), value_error, slope_error)


class StepErrors(NamedTuple):
    """Bounds on what one step gets wrong, by layer of the network where there is one for each."""

    forward: tuple[float, ...]  # of p(1), ..., p(N), in the 2-norm (Lemma 2)
    slopes: tuple[float, ...]  # of the entries of r'(0), ..., r'(N-1) (Lemma 3)
    loss: float  # of u (Lemma 4)
    backward: tuple[float, ...]  # of s(1), ..., s(N) (Lemmas 5 and 6)
    gradient: float  # of the gradient, in the 2-norm (Theorem 1)


def step_errors(
    weights: Sequence[Float[np.ndarray, "_ _"]],
    smoothness: Smoothness,
    *,
    inputs: float,
    residual: float,
    slope: float,
) -> StepErrors:
    """The recursions above, at given weights; all errors of vectors in the 2-norm.

    Args:
        weights: `V_1, ..., V_N`.
        smoothness: The activation's constants and errors.
        inputs: A bound on `|x|`.
        residual: A bound `G` on `|u|`.
        slope: `kappa`, the Lipschitz constant of `u` (the squared error's is exact in hinges).
    """
    r, depth = smoothness, len(weights)
    norms = [float(np.linalg.norm(v, 2)) for v in weights]
    rows = [float(np.linalg.norm(v, axis=1).max()) for v in weights]
    widths = [len(v) for v in weights]
    forward, slopes = [0.0], []
    for width, norm, row in zip(widths, norms, rows, strict=True):
        slopes.append(r.slope_error + r.slope_lipschitz * row * forward[-1])
        forward.append(math.sqrt(width) * r.value_error + r.lipschitz * norm * forward[-1])
    sizes = [inputs, *(math.sqrt(width) * (r.value + r.value_error) for width in widths)]
    largest, loss = r.slope * residual, slope * forward[-1]
    backward = [slopes[-1] * residual + (r.slope + r.slope_error) * loss]
    total = 0.0
    for j in range(depth - 1, -1, -1):
        total += (backward[0] * sizes[j] + largest * forward[j]) ** 2
        if j:
            carried = slopes[j - 1] * largest + (r.slope + r.slope_error) * backward[0]
            backward.insert(0, norms[j] * carried)
            largest = r.slope * norms[j] * largest
    return StepErrors(
        tuple(forward[1:]), tuple(slopes), loss, tuple(backward), math.sqrt(total) / 2
    )


def printed_errors(
    smoothness: Smoothness,
    *,
    depth: int,
    width: int,
    growth: float,
    row_bound: float,
    residual: float,
    slope: float,
) -> StepErrors:
    """What the paper's lemmas state for all weights with rows in a ball; `u` and `s` by entries.

    Args:
        smoothness: The activation's constants and errors.
        depth: `N`.
        width: `K`, at least the number of targets.
        growth: `P`: the paper's `max(sqrt K, sqrt d)`, or `max(K, d)`, with which it is true.
        row_bound: `B_v`.
        residual: `B_l`, a bound on the entries of `u`.
        slope: `L_l`, the Lipschitz constant of `u`.
    """
    r = smoothness
    step = math.sqrt(width) * r.lipschitz * row_bound
    sums = [sum(step**i for i in range(j)) for j in range(1, depth + 1)]
    forward = math.sqrt(width) * sums[-1]  # E_r
    q = r.slope * row_bound * growth
    back = range(depth)  # N - j
    largest = max(q**i * r.slope * residual for i in back)  # B_s
    geometric = [sum(q**k for k in range(i)) for i in back]  # G_j
    from_values = max(
        r.slope_lipschitz * forward * growth * largest * row_bound**2 * geometric[i]
        + q**i * (residual * r.slope_lipschitz * row_bound * forward + r.slope * slope * forward)
        for i in back
    )
    from_slopes = max(growth * largest * row_bound * geometric[i] + q**i * residual for i in back)
    error = from_values * r.value_error + from_slopes * r.slope_error
    in_values = error * math.sqrt(growth) * r.value + largest * forward * r.value_error
    return StepErrors(
        tuple(math.sqrt(width) * r.value_error * total for total in sums),
        (r.slope_error + r.slope_lipschitz * row_bound * forward * r.value_error,) * depth,
        slope * forward * r.value_error,
        (error,) * depth,
        depth / 2 * growth * in_values,
    )


def trajectory_bound(
    error: float, *, smoothness: float, learning_rate: float, steps: int, printed: bool = False
) -> float:
    """How far `steps` steps with gradients wrong by `error` lead away from gradient descent.

    Args:
        error: A bound on the gradient's error at every step.
        smoothness: `L_f`, the Lipschitz constant of the gradient.
        learning_rate: The step size `eta`.
        steps: The number `l` of steps.
        printed: Whether to evaluate the paper's larger bound.

    Example:
        >>> trajectory_bound(0.1, smoothness=1.0, learning_rate=1.0, steps=2)
        0.30000000000000004
        >>> trajectory_bound(0.1, smoothness=1.0, learning_rate=1.0, steps=2, printed=True)
        0.4
    """
    spread = (1 + learning_rate * smoothness) ** steps - (0.0 if printed else 1.0)
    return error * spread / smoothness
