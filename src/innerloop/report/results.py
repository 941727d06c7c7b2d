"""What a report is drawn from: numbers and words, no models, so that figures can be redrawn.

Axes: `s` iterates (after 0, 1, ..., steps steps), `g` points of a cut, `d` covariates, `p` targets.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Yardstick:
    """The scores of another method on the same split.

    Args:
        name: The method.
        train: Its score on the training rows.
        test: Its score on the test rows.
        log_loss: Its log-loss on the test rows, where it gives class probabilities.
    """

    name: str
    train: float
    test: float
    log_loss: float | None = None


@dataclass(frozen=True)
class Cut:
    """A line through the space of covariates, along which the learnt function is drawn.

    Args:
        inputs: The points, in the units that the model sees.
        position: Where they stand on the axis, in the units of `axis`.
        axis: The axis' label.
        outputs: Which targets to draw.
        images: The points at equal distances along it as images, where they are images.
        at: The axis positions of the training rows; empty where they are not on the line.
        values: Their targets, original units.
    """

    inputs: Float[np.ndarray, "g d"]
    position: Float[np.ndarray, " g"]
    axis: str
    outputs: tuple[int, ...]
    images: Float[np.ndarray, "k rows columns"]
    at: Float[np.ndarray, " n"]
    values: Float[np.ndarray, "n p"]


@dataclass(frozen=True)
class Row:
    """One row of the anatomy: a head, or a group of neurons."""

    block: str
    layer: int
    kind: str
    computes: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    size: int
    source: str


@dataclass(frozen=True)
class Lifetime:
    """A named subspace of the residual stream and the half-layers in which it is live.

    Half-layers count within the block: the attention of layer `l` is `2 (l - 1)`, its MLP one more;
    what is there before the first is born at -1. No block means all of them, from start to end.
    """

    name: str
    tokens: str
    block: str
    size: int
    born: int
    dies: int


@dataclass(frozen=True)
class Study:
    """One learner on one data set: as a transformer, and run directly.

    Args:
        name: The data set.
        learner: The learner in words.
        score: The score's name, `R²` or `accuracy`.
        targets: Names of the targets or classes.
        sizes: `n`, `m`, `d`, `p`, and the model's `depth`, `width`, `steps`.
        blocks: How many layers each block has: `init`, one `step`, and the `read-out`.
        dtype: The precision.
        layers: After how many layers the iterates' predictions are read.
        transformer_train: Training score of every iterate read from the residual stream.
        transformer_test: Its test score.
        direct_train: Training score of every iterate of `il.run`.
        direct_test: Its test score.
        transformer_log_loss: Log-loss on the test rows of every iterate read from the residual
            stream; of no length where predictions are no class probabilities.
        direct_log_loss: That of every iterate of `il.run`.
        difference: The largest difference between the two at any query, in the model's units.
        yardsticks: Other methods on the same split.
        cut: Where the learnt function is drawn.
        curves: Its value there after every step, original units.
        lifetimes: The subspaces of the residual stream.
        anatomy: What heads and neurons compute.
        certificate: Its lines.
        check: What the run reported about its domain.
        seconds: Wall time by stage.
    """

    name: str
    learner: str
    score: str
    targets: tuple[str, ...]
    sizes: dict[str, int]
    blocks: dict[str, int]
    dtype: str
    layers: Int[np.ndarray, " s"]
    transformer_train: Float[np.ndarray, " s"]
    transformer_test: Float[np.ndarray, " s"]
    direct_train: Float[np.ndarray, " s"]
    direct_test: Float[np.ndarray, " s"]
    transformer_log_loss: Float[np.ndarray, " s_or_0"]
    direct_log_loss: Float[np.ndarray, " s_or_0"]
    difference: Float[np.ndarray, " s"]
    yardsticks: tuple[Yardstick, ...]
    cut: Cut
    curves: Float[np.ndarray, "s g p"]
    lifetimes: tuple[Lifetime, ...]
    anatomy: tuple[Row, ...]
    certificate: str
    check: str
    seconds: dict[str, float]


@dataclass(frozen=True)
class Results:
    """All that one command found.

    Args:
        command: The command line that repeats it.
        seed: Its seed.
        seconds: Wall time in all.
        versions: By package.
        messages: Remarks to the reader.
        studies: One for each data set.
    """

    command: str
    seed: int
    seconds: float
    versions: dict[str, str]
    messages: tuple[str, ...]
    studies: tuple[Study, ...]
