r"""Iterative Newton for least squares: the inverse second moment by Newton and Schulz.

    M_0 = alpha S        M_{k+1} = 2 M_k - M_k S M_k        W_k = C M_k

`S = (1/n) sum_i x_i x_i^T`, `C = (1/n) sum_i y_i x_i^T`. Every token carries `t_j = M_k x_j` and
never a matrix: `M_k S M_k x_j` is the mean of `t_i <x_i, t_j>`, one head, one layer a step.
Departs from Fu et al.: means over the context where they sum.
Axes: `n` context examples, `d` covariates, `p` targets.
Reference: Fu et al. (2024), arXiv:2310.17086, Theorem 5.1.
"""

from jaxtyping import Array, Float

from innerloop.collectives import attend
from innerloop.learners import Learner
from innerloop.precision import is_traced


def newton_schulz(scale: float | Float[Array, ""]) -> Learner:
    r"""Least squares by iterative Newton; `I - M_k S = (I - alpha S^2)^(2^k)`.

    Converges to the least-squares solution of smallest norm, quadratically once it is near.

    Args:
        scale: The scale `alpha` of the first inverse, strictly between 0 and 2 over the square of
            the largest eigenvalue of `S`; at the upper end itself the largest direction is lost.

    Returns:
        The learner; its prediction is `W_k x`, from `W_0 = alpha C S`.

    Raises:
        ValueError: If the scale is not positive.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[1.0]], [[1.0]], [[1.0]])
        >>> run(newton_schulz(0.5), prompt, steps=3)[:, 0, 0].tolist()
        [0.5, 0.75, 0.9375, 0.99609375]

    References:
        Fu et al., Transformers Learn to Achieve Second-Order Convergence Rates for In-Context
        Linear Regression (NeurIPS 2024), Theorem 5.1; Schulz, Iterative Berechnung der reziproken
        Matrix (1933).
    """
    if not is_traced(scale) and not scale > 0:
        raise ValueError(f"the scale of the first inverse must be positive; got {scale}.")

    def init(x, y):
        return (), (scale * attend(x, x, x, mean=True), y)

    def step(shared, local, x, y):
        del y
        image, target = local
        return shared, (2 * image - attend(image, x, image, mean=True), target)

    def predict(shared, local, x):
        del shared
        image, target = local
        return attend(x, image, target, mean=True)

    return Learner(init, step, predict)
