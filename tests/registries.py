"""Every learning algorithm, and prompts that it can be given: the laws run over these tuples.

An entry is (name, function without arguments that returns the learner, prompt family), where a
family is a function of a numpy generator. Axes are primes: n = 13, m = 7, d = 3, p = 2, 5 clusters.
"""

import numpy as np

import innerloop as il
from innerloop import algorithms

WEIGHTS = np.array([[0.5, -0.3, 0.2], [-0.1, 0.4, 0.6]])
PRECONDITIONER = np.array([[0.8, 0.1, 0.0], [0.0, 0.9, -0.1], [0.2, 0.0, 1.1]])
CENTROIDS = np.array(
    [[0.5, 0.5, 0.5], [-0.5, 0.5, 0.0], [0.0, -0.5, 0.5], [0.5, -0.5, -0.5], [-0.5, 0.0, -0.5]]
)
DIRECTION = np.array([1.0, 0.5, -0.25])


def regression(rng: np.random.Generator, *, n: int = 13, m: int = 7) -> il.Prompt:
    """Two noisy linear targets of three covariates in `[-1, 1]`."""
    x, xq = (rng.uniform(-1, 1, size=(rows, 3)) for rows in (n, m))
    y = x @ rng.uniform(-1, 1, size=(3, 2)) + rng.uniform(-0.3, 0.3, size=(n, 2))
    return il.Prompt(x, y, xq)


def classification(rng: np.random.Generator, *, n: int = 13, m: int = 7) -> il.Prompt:
    """One target, 0 or 1, by the sign of a noisy linear function."""
    prompt = regression(rng, n=n, m=m)
    return il.Prompt(prompt.x, (prompt.y[:, :1] > 0).astype(float), prompt.xq)


def ordered(rng: np.random.Generator, *, n: int = 13, m: int = 7) -> il.Prompt:
    """Regression with the example's position, 1 to `n`, as one more covariate; queries have 0."""
    prompt = regression(rng, n=n, m=m)
    return il.Prompt(
        np.column_stack([prompt.x, np.arange(1.0, n + 1)]),
        prompt.y,
        np.column_stack([prompt.xq, np.zeros(m)]),
    )


RBF = il.Kernel("rbf", bandwidth=0.7)

ALGORITHMS = (
    ("gradient_descent", lambda: algorithms.gradient_descent(0.8), regression),
    (
        "gradient_descent_from_weights",
        lambda: algorithms.gradient_descent(0.8, weights=WEIGHTS),
        regression,
    ),
    (
        "preconditioned_gradient_descent",
        lambda: algorithms.preconditioned_gradient_descent(PRECONDITIONER),
        regression,
    ),
    ("heavy_ball", lambda: algorithms.heavy_ball(0.8, 0.4), regression),
    ("chebyshev", lambda: algorithms.chebyshev(0.1, 1.0), regression),
    ("gd_plus_plus", lambda: algorithms.gd_plus_plus(0.8, 0.3), regression),
    ("newton_schulz", lambda: algorithms.newton_schulz(0.2), regression),
    ("conjugate_gradient", lambda: algorithms.conjugate_gradient(), regression),
    ("recursive_least_squares", lambda: algorithms.recursive_least_squares(0.5), ordered),
    ("ridge", lambda: algorithms.ridge(0.1, bound=3.0), regression),
    ("averaging", lambda: algorithms.averaging(), regression),
    ("ista", lambda: algorithms.ista(0.05, 0.8), regression),
    ("fista", lambda: algorithms.fista(0.05, 0.8), regression),
    (
        "logistic_regression",
        lambda: algorithms.logistic_regression(0.1, bound=3.0),
        classification,
    ),
    (
        "functional_gradient_descent_linear",
        lambda: algorithms.functional_gradient_descent(0.5, kernel="linear"),
        regression,
    ),
    (
        "functional_gradient_descent_relu",
        lambda: algorithms.functional_gradient_descent(0.5, kernel="relu"),
        regression,
    ),
    (
        "functional_gradient_descent_exp",
        lambda: algorithms.functional_gradient_descent(0.5, kernel="exp"),
        regression,
    ),
    (
        "functional_gradient_descent_rbf",
        lambda: algorithms.functional_gradient_descent(0.5, kernel=RBF),
        regression,
    ),
    (
        "functional_gradient_descent_softmax",
        lambda: algorithms.functional_gradient_descent(0.5, kernel="softmax"),
        regression,
    ),
    ("kernel_ridge", lambda: algorithms.kernel_ridge(0.1, 0.8, kernel=RBF), regression),
    ("nadaraya_watson", lambda: algorithms.nadaraya_watson(0.5), regression),
    ("k_means", lambda: algorithms.k_means(CENTROIDS), regression),
    ("soft_k_means", lambda: algorithms.soft_k_means(CENTROIDS, stiffness=3.0), regression),
    ("power_iteration", lambda: algorithms.power_iteration(DIRECTION), regression),
)

NOT_HOMOGENEOUS = frozenset(
    {"gradient_descent_from_weights", "ista", "fista", "logistic_regression"}
)
"""The algorithms whose predictions do not scale with the targets."""
