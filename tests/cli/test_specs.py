"""What the three specifications accept and refuse."""

import pytest

from innerloop.cli.errors import UserError
from innerloop.cli.specs import (
    LossSpec,
    ModelSpec,
    OptimizerSpec,
    parse_loss,
    parse_model,
    parse_optimizer,
)


@pytest.mark.parametrize("text", ["linear", "mlp:32", "mlp:7,5,3"])
def test_a_model_is_written_as_it_was_read(text):
    assert str(parse_model(text)) == text


@pytest.mark.parametrize("text", ["sgd:0.01", "momentum:0.1,0.9", "nesterov:2,0.5"])
def test_an_optimiser_is_written_as_it_was_read(text):
    assert str(parse_optimizer(text)) == text


@pytest.mark.parametrize("text", ["squared", "absolute", "huber:0.5"])
def test_a_loss_is_written_as_it_was_read(text):
    assert str(parse_loss(text)) == text


def test_values():
    assert parse_model("mlp: 4 ,3") == ModelSpec((4, 3))
    assert parse_optimizer("nesterov:1e-2,0") == OptimizerSpec(0.01, 0.0, True)
    assert parse_loss("huber") == LossSpec("huber", 1.0)


@pytest.mark.parametrize(
    "text", ["", "mlp", "mlp:", "mlp:3,", "mlp:-3", "mlp:2.5", "linear:3", "MLP:3", "mlp:3;4"]
)
def test_a_wrong_model_is_refused(text):
    with pytest.raises(UserError, match="is not a model; write linear, or mlp:32,32"):
        parse_model(text)


@pytest.mark.parametrize(
    "text",
    ["", "sgd", "sgd:", "sgd:a", "sgd:1,2", "sgd:nan", "momentum:1", "nesterov:1,2,3", "adam:1"],
)
def test_a_wrong_optimiser_is_refused(text):
    with pytest.raises(UserError, match="is not an optimiser; write sgd:RATE"):
        parse_optimizer(text)


@pytest.mark.parametrize("text", ["sgd:0", "momentum:-1,0.5", "momentum:1,1", "nesterov:1,-0.1"])
def test_an_optimiser_outside_its_range_is_refused(text):
    with pytest.raises(UserError, match="it must be"):
        parse_optimizer(text)


@pytest.mark.parametrize("text", ["", "hinge", "squared:1", "absolute:", "Huber"])
def test_a_wrong_loss_is_refused(text):
    with pytest.raises(UserError, match="is not a loss; write squared"):
        parse_loss(text)


@pytest.mark.parametrize("text", ["huber:", "huber:-1", "huber:0", "huber:x", "huber:inf"])
def test_a_huber_loss_needs_a_positive_delta(text):
    with pytest.raises(UserError, match="it must be positive"):
        parse_loss(text)
