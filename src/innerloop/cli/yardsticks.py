r"""Other methods on the same split, to hold a score against.

ridge   W = Y^T X (X^T X + I)^-1, on centred data
"""

import warnings
from collections.abc import Callable

import numpy as np

from innerloop.report import Split, Yardstick
from innerloop.report.split import accuracy, r_squared

MOST_ITERATIONS = 2000


def ridge(split: Split) -> Yardstick:
    """Ridge regression with a penalty of 1, in closed form."""
    x, y = split.x_train, split.y_train
    centre, offset = x.mean(0), y.mean(0)
    gram = (x - centre).T @ (x - centre) + np.eye(x.shape[1])
    weights = np.linalg.solve(gram, (x - centre).T @ (y - offset))
    train, test = ((part - centre) @ weights + offset for part in (x, split.x_test))
    return Yardstick(
        "ridge regression", float(r_squared(train, y)), float(r_squared(test, split.y_test))
    )


def scikit_learn(split: Split, hidden: tuple[int, ...], *, seed: int) -> tuple[Yardstick, ...]:
    """scikit-learn's Ridge and its MLP with the same hidden layers (trained by Adam, 2000 epochs).

    Args:
        split: The data set; on a classification Ridge is fitted to the one-hot rows.
        hidden: Sizes of the hidden layers.
        seed: Initial weights of the MLP.

    Returns:
        The two yardsticks.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    measure = accuracy if split.classification else r_squared
    linear = Ridge().fit(split.x_train, split.y_train)
    fits: list[tuple[str, Callable]] = [("scikit-learn Ridge", linear.predict)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if split.classification:
            network = MLPClassifier(hidden, max_iter=MOST_ITERATIONS, random_state=seed)
            network.fit(split.x_train, split.y_train.argmax(1))
            fits.append(("scikit-learn MLPClassifier", network.predict_proba))
        else:
            network = MLPRegressor(
                hidden_layer_sizes=hidden, max_iter=MOST_ITERATIONS, random_state=seed
            )
            network.fit(split.x_train, split.y_train[:, 0])
            fits.append(("scikit-learn MLPRegressor", network.predict))

    def yardstick(name: str, predict: Callable) -> Yardstick:
        train, test = (
            np.asarray(predict(x)).reshape(len(x), -1) for x in (split.x_train, split.x_test)
        )
        return Yardstick(
            name, float(measure(train, split.y_train)), float(measure(test, split.y_test))
        )

    return tuple(yardstick(name, predict) for name, predict in fits)
