r"""One data set as a prompt: the training part is the context, everything to predict is a query.

    R^2 = 1 - sum_i (y_i - f(x_i))^2 / sum_i (y_i - mean y)^2, the mean over targets

Axes: `n` training rows, `m` test rows, `d` covariates, `p` targets, `s` iterates, `g` cut points.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from innerloop.prompts import Prompt
from innerloop.report.links import PROBABILITIES, Link, linked, log_loss


@dataclass(frozen=True)
class Split:
    """A data set in the units that the model sees, and the way back to the original ones.

    Args:
        x_train: Covariates of the training part.
        y_train: Its targets; one-hot rows for a classification.
        x_test: Covariates of the test part.
        y_test: Its targets.
        x_shift: What was subtracted from the covariates before they were divided by `x_scale`.
        x_scale: One divisor a covariate.
        y_shift: What is added to a prediction after it was multiplied by `y_scale`.
        y_scale: One factor a target.
        features: Names of the covariates.
        targets: Names of the targets, or of the classes.
        classification: Whether the targets are classes, one-hot.
        link: From the network's outputs to answers.
    """

    x_train: Float[np.ndarray, "n d"]
    y_train: Float[np.ndarray, "n p"]
    x_test: Float[np.ndarray, "m d"]
    y_test: Float[np.ndarray, "m p"]
    x_shift: Float[np.ndarray, " d"]
    x_scale: Float[np.ndarray, " d"]
    y_shift: Float[np.ndarray, " p"]
    y_scale: Float[np.ndarray, " p"]
    features: tuple[str, ...]
    targets: tuple[str, ...]
    classification: bool = False
    link: Link = "identity"

    @property
    def n(self) -> int:
        """Number of training rows."""
        return len(self.x_train)

    @property
    def m(self) -> int:
        """Number of test rows."""
        return len(self.x_test)

    def prompt(self, further: Float[np.ndarray, "g d"]) -> Prompt:
        """The training part as context; as queries the training rows, the test rows, and `further`.

        Queries do not see each other, so one forward pass answers them all.
        """
        return Prompt(
            self.x_train, self.y_train, np.concatenate([self.x_train, self.x_test, further])
        )

    def restored(self, outputs: Float[np.ndarray, "*s p"]) -> Float[np.ndarray, "*s p"]:
        """What the network's outputs say in the targets' original units."""
        return linked(outputs, self.link) * self.y_scale + self.y_shift

    def observed(self, y: Float[np.ndarray, "*s p"]) -> Float[np.ndarray, "*s p"]:
        """Targets in their original units."""
        return y * self.y_scale + self.y_shift

    @property
    def probabilistic(self) -> bool:
        """Whether the answers are class probabilities."""
        return self.link in PROBABILITIES

    def scores(
        self, outputs: Float[np.ndarray, "s queries p"]
    ) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, " s"]]:
        """Training and test scores of the network's outputs at the queries of `prompt`."""
        measure = accuracy if self.classification else r_squared
        n, m = self.n, self.m
        answers = linked(outputs, self.link)
        train = measure(answers[:, :n], self.y_train)
        return train, measure(answers[:, n : n + m], self.y_test)

    def test_log_losses(
        self, outputs: Float[np.ndarray, "s queries p"]
    ) -> Float[np.ndarray, " s_or_0"]:
        """Log-loss on the test rows; of no length where the answers are no probabilities."""
        if not self.probabilistic:
            return np.zeros(0)
        answers = linked(outputs[:, self.n : self.n + self.m], self.link)
        return log_loss(answers, self.y_test)


def r_squared(
    predictions: Float[np.ndarray, "*s rows p"], y: Float[np.ndarray, "rows p"]
) -> Float[np.ndarray, "*s"]:
    """The coefficient of determination, averaged over targets that vary; NaN where none does.

    Example:
        >>> y = np.array([[0.0], [1.0], [2.0]])
        >>> float(r_squared(y, y)), float(r_squared(0.0 * y + 1.0, y))
        (1.0, 0.0)
    """
    spread = ((y - y.mean(0)) ** 2).sum(0)
    if not spread.any():
        return np.full(predictions.shape[:-2], np.nan)
    residual = ((predictions - y) ** 2).sum(-2)
    return np.asarray((1.0 - residual[..., spread > 0] / spread[spread > 0]).mean(-1))


def accuracy(
    predictions: Float[np.ndarray, "*s rows p"], y: Float[np.ndarray, "rows p"]
) -> Float[np.ndarray, "*s"]:
    """The share of rows whose largest class score is at the right class.

    Example:
        >>> float(accuracy(np.array([[0.2, 0.7], [0.6, 0.1]]), np.array([[0.0, 1.0], [0.0, 1.0]])))
        0.5
    """
    return np.asarray(np.mean(predictions.argmax(-1) == y.argmax(-1), axis=-1))
