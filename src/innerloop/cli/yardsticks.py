r"""Other methods on the same split, to hold a score against.

ridge      W = Y^T X (X^T X + I)^-1, on centred data
majority   every row gets the training part's class frequencies
"""

import warnings
from collections.abc import Callable

import numpy as np

from innerloop.report import Split, Yardstick
from innerloop.report.links import log_loss
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


def majority(split: Split) -> Yardstick:
    """The most frequent class for every row, with the classes' frequencies as probabilities."""
    shares = split.y_train.mean(0)
    train, test = (np.tile(shares, (len(y), 1)) for y in (split.y_train, split.y_test))
    name = f"majority class ({split.targets[int(shares.argmax())]})"
    return _classified(name, train, test, split)


def logistic(split: Split) -> Yardstick:
    """scikit-learn's logistic regression with its usual penalty."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(max_iter=MOST_ITERATIONS)
        model.fit(split.x_train, split.y_train.argmax(1))
    train, test = (np.zeros_like(y) for y in (split.y_train, split.y_test))
    train[:, model.classes_] = model.predict_proba(split.x_train)
    test[:, model.classes_] = model.predict_proba(split.x_test)
    return _classified("logistic regression", train, test, split)


def _classified(name: str, train: np.ndarray, test: np.ndarray, split: Split) -> Yardstick:
    """A yardstick from the probabilities it gives to the two parts."""
    scores = (float(accuracy(train, split.y_train)), float(accuracy(test, split.y_test)))
    loss = float(log_loss(test, split.y_test)) if split.probabilistic else None
    return Yardstick(name, *scores, log_loss=loss)


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
