"""Scores against scikit-learn, and cuts that stay where they say they are."""

import dataclasses

import numpy as np
import pytest
from sklearn import metrics
from sklearn.metrics import accuracy_score, r2_score

from innerloop.report import covariate_cut, image_cut
from innerloop.report.links import linked, log_loss
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


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_probabilities_sum_to_one_and_their_log_loss_is_scikit_learns(rng, link):
    outputs, classes = rng.normal(size=(3, 13, 4)) * 3, np.arange(13) % 4
    shares = linked(outputs, link)
    np.testing.assert_allclose(shares.sum(-1), 1, rtol=1e-12)
    np.testing.assert_array_equal(shares.argmax(-1), outputs.argmax(-1))
    expected = [metrics.log_loss(classes, p) for p in shares]
    np.testing.assert_allclose(log_loss(shares, np.eye(4)[classes]), expected, rtol=1e-12)


def test_links_are_their_formulas():
    outputs = np.array([0.0, np.log(3.0)])
    np.testing.assert_allclose(linked(outputs, "softmax"), [0.25, 0.75])
    np.testing.assert_allclose(linked(outputs, "sigmoid"), [0.4, 0.6])
    np.testing.assert_allclose(linked(outputs, "exp"), [1.0, 3.0])
    np.testing.assert_array_equal(linked(outputs, "identity"), outputs)
    assert np.isfinite(linked(np.array([-1e5, -1e5]), "sigmoid")).all()


def test_a_split_answers_in_the_units_of_its_link(images, split):
    rates = dataclasses.replace(split, link="exp", y_shift=np.zeros(2))
    np.testing.assert_allclose(rates.restored(np.zeros((1, 2))), [[29.0, 31.0]])
    assert not rates.probabilistic and len(rates.test_log_losses(np.zeros((3, 24, 2)))) == 0
    shares = dataclasses.replace(images, link="softmax")
    losses = shares.test_log_losses(np.zeros((3, 24, 3)))
    np.testing.assert_allclose(losses, np.log(3.0))


def test_a_cut_prefers_covariates_of_more_than_two_values(split):
    x = split.x_train.copy()
    x[:, 2] = x[:, 2] > 0
    y = np.column_stack([x[:, 2] + 0.5 * x[:, 1], x[:, 0]])
    mixed = dataclasses.replace(split, x_train=x, y_train=y)
    assert covariate_cut(mixed, points=5).axis.startswith("b ")
    assert covariate_cut(dataclasses.replace(mixed, classification=True)).axis.startswith("a ")
    binary = dataclasses.replace(mixed, x_train=(x > 0).astype(float))
    assert covariate_cut(binary, points=5).axis.startswith("c ")
