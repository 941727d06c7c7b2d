"""What the three specifications accept and refuse."""

import pytest

from innerloop.cli.errors import UserError
from innerloop.cli.losses import LossSpec, parse_loss
from innerloop.cli.optimizers import OPTIMIZERS, OptimizerSpec, parse_optimizer
from innerloop.cli.specs import ModelSpec, parse_model


@pytest.mark.parametrize("text", ["linear", "mlp:32", "mlp:7,5,3"])
def test_a_model_is_written_as_it_was_read(text):
    assert str(parse_model(text)) == text


@pytest.mark.parametrize(
    "text",
    ["sgd:0.01", "momentum:0.1,0.9", "nesterov:2,0.5", "adam:0.001", "adamw:0.1,weight_decay=0.03"],
)
def test_an_optimiser_is_written_as_it_was_read(text):
    assert str(parse_optimizer(text)) == text


@pytest.mark.parametrize("text", ["squared", "huber:delta=0.5", "quantile", "softmax", "poisson"])
def test_a_loss_is_written_as_it_was_read(text):
    assert str(parse_loss(text)) == text


def test_values():
    assert parse_model("mlp: 4 ,3") == ModelSpec((4, 3))
    given = (("rate", 0.01), ("momentum", 0.0))
    assert parse_optimizer("nesterov:1e-2,0") == OptimizerSpec("nesterov", given)
    assert parse_optimizer("nesterov:momentum=0, rate=1e-2") == OptimizerSpec("nesterov", given)
    assert parse_optimizer("adam:1,0.8,0.9").given == (("rate", 1.0), ("b1", 0.8), ("b2", 0.9))
    assert parse_loss("huber") == LossSpec("huber")
    assert [parse_loss(text).setting for text in ("huber", "huber:2", "quantile:0.9")] == [
        1,
        2,
        0.9,
    ]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_is_in_the_help_and_says_what_it_is(name, innerloop, capsys):
    with pytest.raises(SystemExit):
        innerloop("learn", "--help")
    assert name in capsys.readouterr().out.replace(",", " ").replace(".", " ").split()
    text = f"{name}:0.25" + ",0.5" * len(OPTIMIZERS[name].needed)
    assert parse_optimizer(text).described.endswith("at rate 0.25")


@pytest.mark.parametrize(
    "text", ["", "mlp", "mlp:", "mlp:3,", "mlp:-3", "mlp:2.5", "linear:3", "MLP:3", "mlp:3;4"]
)
def test_a_wrong_model_is_refused(text):
    with pytest.raises(UserError, match="is not a model; write linear, or mlp:32,32"):
        parse_model(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is not an optimiser; there are sgd, momentum, .*, fromage$"),
        ("Adam:1", r"is not an optimiser; there are .*; did you mean adam\?"),
        ("sgd", r"sgd lacks its rate; write sgd:RATE"),
        ("sgd:", r"the rate is left empty; write sgd:RATE"),
        ("sgd:a", r"the rate is 'a', not a finite number"),
        ("sgd:nan", r"the rate is 'nan', not a finite number"),
        ("sgd:1,2", r"has 2 settings where sgd takes 1; write sgd:RATE$"),
        ("momentum:1", r"lacks its momentum; write momentum:RATE,MOMENTUM"),
        ("nesterov:1,0.2,3", r"has 3 settings where nesterov takes 2"),
        ("adam:1,b3=2", r"sets 'b3', which adam has not; write adam:RATE\[,B1,B2,EPS\]"),
        ("adam:1,0.9,b1=0.8", r"sets b1 twice"),
        ("adam:1,b1=", r"the b1 is left empty"),
        ("sgd:0", r"the rate is 0, and must be positive"),
        ("momentum:-1,0.5", r"the rate is -1, and must be positive"),
        ("momentum:1,1", r"the momentum is 1, and must be at least 0 and below 1"),
        ("adam:1,eps=0", r"the eps is 0, and must be positive"),
        ("lion:1,weight_decay=-2", r"the weight_decay is -2, and must be at least 0$"),
    ],
)
def test_a_wrong_optimiser_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_optimizer(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is not a loss; there are squared, absolute, huber\[:DELTA\], quantile\[:LEVEL\], "),
        ("Huber", r"is not a loss; .*did you mean huber\?"),
        ("squared:1", r"has 1 setting where squared takes none; write squared$"),
        ("absolute:", r"has 1 setting where absolute takes none"),
        ("huber:", r"the delta is left empty; write huber\[:DELTA\]"),
        ("huber:inf", r"the delta is 'inf', not a finite number"),
        ("huber:0", r"the delta is 0, and must be positive"),
        ("quantile:1", r"the level is 1, and must be above 0 and below 1"),
    ],
)
def test_a_wrong_loss_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_loss(text)
