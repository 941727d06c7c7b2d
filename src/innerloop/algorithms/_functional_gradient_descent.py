r"""Functional gradient descent in a kernel's space: every token descends on its own prediction.

    f_0 = 0        f_{k+1}(x) = f_k(x) + (eta / n) sum_j (y_j - f_k(x_j)) k(x_j, x)

The steepest descent on `1/(2n) sum_i |f(x_i) - y_i|^2` in the kernel's Hilbert space, one head of
one layer a step. Departs from Cheng et al.: a mean over the context where they sum; with softmax
attention, which is no kernel but has weights that sum to one, neither.
Axes: `n` context examples, `d` covariates, `p` targets.
Reference: Cheng, Chen and Sra (2024), arXiv:2312.06528, Proposition 1.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from innerloop.collectives import attend
from innerloop.kernels import Kernel
from innerloop.learners import Learner


def functional_gradient_descent(
    learning_rate: float | Float[Array, ""], *, kernel: str | Kernel
) -> Learner:
    r"""Functional gradient descent from zero, with any kernel that attention has.

    With the linear kernel it is gradient descent on a linear model, seen from the tokens.

    Args:
        learning_rate: The step size `eta`; stable below 2 over the largest eigenvalue of the
            context's kernel matrix divided by `n` (for softmax: of its attention matrix).
        kernel: A kernel's name, or a `Kernel` where it has a bandwidth.

    Returns:
        The learner; its prediction is `f_k(x)`.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[1.0], [-1.0]], [[1.0], [0.0]], [[2.0]])
        >>> run(functional_gradient_descent(0.5, kernel="relu"), prompt, steps=2)[:, 0, 0].tolist()
        [0.0, 0.5, 0.875]

    References:
        Cheng, Chen and Sra, Transformers Implement Functional Gradient Descent to Learn Non-Linear
        Functions In Context (ICML 2024), Proposition 1.
    """

    def init(x, y):
        del x
        return (), jnp.zeros_like(y)

    def step(shared, prediction, x, y):
        update = attend(x, x, y - prediction, kernel=kernel, mean=True)
        return shared, prediction + learning_rate * update

    def predict(shared, prediction, x):
        del shared, x
        return prediction

    return Learner(init, step, predict)
