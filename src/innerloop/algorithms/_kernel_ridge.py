r"""Kernel ridge regression, its dual coefficients by Richardson iteration.

    b_0 = 0        b <- b + eta (y - (1/n) sum_j k(x_j, x) b_j - lambda b)
    f(x) = (1/n) sum_j b_j k(x_j, x)

Each token carries its own coefficient. The fixed point solves `(K/n + lambda I) b = y`.
Axes: `n` context examples, `d` covariates, `p` targets.
Reference: Saunders, Gammerman and Vovk (1998); Saad (2003), Example 4.1.
"""

import jax.numpy as jnp

from innerloop.collectives import attend
from innerloop.kernels import Kernel
from innerloop.learners import Learner


def kernel_ridge(penalty: float, learning_rate: float, *, kernel: str | Kernel = "rbf") -> Learner:
    r"""Kernel ridge regression; without a penalty, functional gradient descent.

    It minimises `1/(2n) sum_i |f(x_i) - y_i|^2 + lambda/2 |f|^2` in the kernel's Hilbert space.

    Args:
        penalty: The weight `lambda >= 0` of the squared norm; scikit-learn's `alpha` is `n lambda`.
        learning_rate: The step size `eta`; stable below 2 over `lambda` plus the largest eigenvalue
            of the context's kernel matrix divided by `n`.
        kernel: A kernel's name, or a `Kernel` where it has a bandwidth.

    Returns:
        The learner; its prediction is `f(x)`.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[1.0]], [[1.0]], [[1.0]])
        >>> run(kernel_ridge(0.5, 0.5, kernel="linear"), prompt, steps=2)[:, 0, 0].tolist()
        [0.0, 0.5, 0.625]

    References:
        Saunders, Gammerman and Vovk, Ridge Regression Learning Algorithm in Dual Variables (1998);
        Saad, Iterative Methods for Sparse Linear Systems (2003), Example 4.1.
    """

    def init(x, y):
        del x
        return (), jnp.zeros_like(y)

    def step(shared, coefficient, x, y):
        prediction = attend(x, x, coefficient, kernel=kernel, mean=True)
        residual = y - prediction - penalty * coefficient
        return shared, coefficient + learning_rate * residual

    def predict(shared, coefficient, x):
        del shared
        return attend(x, x, coefficient, kernel=kernel, mean=True)

    return Learner(init, step, predict)
