r"""Lines through the space of covariates, along which a learnt function can be looked at.

covariate   x(t) = mean, but its k-th entry is t          image   x(t) = (1 - t) a + t b
"""

import numpy as np

from innerloop.report.results import Cut
from innerloop.report.split import Split

MOST_OUTPUTS = 3
IMAGES = 7


def covariate_cut(split: Split, *, points: int = 81) -> Cut:
    """The covariate most correlated with the first target, over its range; the others at the mean.

    Of classes, any counts. Covariates of two values, such as one-hot ones, are taken only where
    there are no others.

    Args:
        split: The data set.
        points: How many points.

    Returns:
        A cut with the training rows beside it, in original units.
    """
    y = split.y_train if split.classification else split.y_train[:, :1]
    x, y = split.x_train - split.x_train.mean(0), y - y.mean(0)
    spread = np.linalg.norm(x, axis=0)[:, None] * np.linalg.norm(y, axis=0)
    strength = (np.abs(x.T @ y) / np.maximum(spread, 1e-30)).max(1)
    many = np.array([len(np.unique(column)) > 2 for column in split.x_train.T])
    k = int(np.argmax(np.where(many, strength, strength - 2.0)))
    inputs = np.tile(split.x_train.mean(0), (points, 1))
    inputs[:, k] = np.linspace(split.x_train[:, k].min(), split.x_train[:, k].max(), points)
    return Cut(
        inputs=inputs,
        position=inputs[:, k] * split.x_scale[k] + split.x_shift[k],
        axis=f"{split.features[k]} (all other covariates at their mean)",
        outputs=tuple(range(min(split.y_train.shape[1], MOST_OUTPUTS))),
        images=np.zeros((0, 0, 0)),
        at=split.x_train[:, k] * split.x_scale[k] + split.x_shift[k],
        values=split.observed(split.y_train),
    )


def image_cut(
    split: Split, image_shape: tuple[int, int], classes: tuple[int, int], *, points: int = 81
) -> Cut:
    """From the first test image of one class to the first of another, pixel by pixel.

    Args:
        split: A data set whose covariates are pixels.
        image_shape: Rows and columns of an image.
        classes: The two classes.
        points: How many points.

    Returns:
        A cut from position 0 to 1.
    """
    is_class = [split.y_test.argmax(1) == k for k in classes]
    start, end = (split.x_test[np.flatnonzero(mask)[0]] for mask in is_class)
    position = np.linspace(0.0, 1.0, points)
    first, second = (split.targets[k] for k in classes)
    inputs = (1.0 - position[:, None]) * start + position[:, None] * end
    shown = inputs[np.linspace(0, points - 1, IMAGES).round().astype(int)]
    return Cut(
        inputs=inputs,
        position=position,
        axis=f"from a test image of {first} to a test image of {second}",
        outputs=classes,
        images=(shown * split.x_scale + split.x_shift).reshape(IMAGES, *image_shape),
        at=np.zeros(0),
        values=np.zeros((0, len(split.targets))),
    )
