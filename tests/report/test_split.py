"""Scores against scikit-learn, and cuts that stay where they say they are."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score

from innerloop.report import covariate_cut, image_cut
from innerloop.report.split import accuracy, r_squared


def test_r_squared_is_scikit_learns(rng):
    y, predictions = rng.normal(size=(13, 3)), rng.normal(size=(5, 13, 3))
    expected = [r2_score(y, p) for p in predictions]
    np.testing.assert_allclose(r_squared(predictions, y), expected, rtol=1e-12)


def test_accuracy_is_scikit_learns(rng):
    y, predictions = np.eye(4)[rng.integers(0, 4, size=13)], rng.normal(size=(5, 13, 4))
    expected = [accuracy_score(y.argmax(1), p.argmax(1)) for p in predictions]
    np.testing.assert_allclose(accuracy(predictions, y), expected)


def test_a_target_that_does_not_vary_is_left_out_of_r_squared(rng):
    y = np.column_stack([rng.normal(size=7), np.ones(7)])
    predictions = y + 0.1
    assert r_squared(predictions, y) == pytest.approx(r2_score(y[:, 0], predictions[:, 0]))
    assert np.isnan(r_squared(predictions[:, 1:], y[:, 1:]))


def test_the_prompt_asks_for_training_test_and_further_rows(split):
    prompt = split.prompt(np.zeros((3, 4)))
    assert (prompt.n, prompt.m) == (17, 17 + 7 + 3)
    train, test = split.scores(np.concatenate([split.y_train, split.y_test, np.ones((3, 2))])[None])
    assert (train.item(), test.item()) == (1.0, 1.0)


def test_a_covariate_cut_varies_the_one_that_matters_over_its_range(split):
    cut = covariate_cut(split, points=5)
    varying = np.flatnonzero(np.ptp(cut.inputs, axis=0))
    assert varying.tolist() == [2] and cut.axis.startswith("c ")
    c = split.x_train[:, 2] * 13.0 + 3.0
    np.testing.assert_allclose(cut.position, np.linspace(c.min(), c.max(), 5))
    np.testing.assert_allclose(cut.at, c)
    np.testing.assert_allclose(
        cut.inputs[:, [0, 1, 3]], split.x_train.mean(0)[None, [0, 1, 3]] + np.zeros((5, 1))
    )
    np.testing.assert_allclose(cut.values[:, 1], split.y_train[:, 1] * 31.0 + 23.0)


def test_an_image_cut_goes_from_one_class_to_the_other(images):
    cut = image_cut(images, (2, 3), (2, 0), points=5)
    classes = images.y_test.argmax(1)
    np.testing.assert_array_equal(cut.inputs[0], images.x_test[classes.tolist().index(2)])
    np.testing.assert_array_equal(cut.inputs[-1], images.x_test[classes.tolist().index(0)])
    assert cut.outputs == (2, 0)
    assert cut.axis == "from a test image of two to a test image of zero"
    np.testing.assert_array_equal(cut.images[0].ravel(), cut.inputs[0])
    assert len(cut.at) == 0
