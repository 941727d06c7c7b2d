r"""The averaging estimator: targets times inputs, averaged.

    W = (1/n) sum_i y_i x_i^T

The least-squares solution where the inputs are white, and one step of gradient descent from zero.
Axes: `n` context examples, `d` covariates, `p` targets.
Reference: Garg et al. (2022), arXiv:2208.01066, Section 3.
"""

from innerloop.algorithms._least_squares import initial_weights, moment
from innerloop.learners import Learner


def averaging() -> Learner:
    r"""The averaging estimator, in one step; further steps change nothing.

    Returns:
        The learner; its prediction is `W x`, zero before the first step.

    Example:
        >>> from innerloop.learners import run
        >>> from innerloop.prompts import Prompt
        >>> prompt = Prompt([[1.0], [3.0]], [[1.0], [3.0]], [[1.0]])
        >>> run(averaging(), prompt, steps=1)[:, 0, 0].tolist()
        [0.0, 5.0]

    References:
        Garg et al., What Can Transformers Learn In-Context? (NeurIPS 2022), Section 3.
    """

    def init(x, y):
        return initial_weights(None, x, y), ()

    def step(weights, local, x, y):
        del weights
        return moment(x, y), local

    def predict(weights, local, x):
        del local
        return weights @ x

    return Learner(init, step, predict)
