"""What `--model`, `--optimizer` and `--loss` say, read into values; nothing here imports JAX."""

import math
from dataclasses import dataclass

from innerloop.cli.errors import UserError

MODEL_HELP = "write linear, or mlp:32,32 for hidden layers of 32 and 32 units"
OPTIMIZER_HELP = "write sgd:RATE, momentum:RATE,DECAY or nesterov:RATE,DECAY, such as sgd:0.1"
LOSS_HELP = "write squared, absolute, huber or huber:DELTA"


@dataclass(frozen=True)
class ModelSpec:
    """A fully connected ReLU network by its hidden layer sizes; none is a linear model."""

    hidden: tuple[int, ...]

    def __str__(self) -> str:
        return f"mlp:{','.join(map(str, self.hidden))}" if self.hidden else "linear"


@dataclass(frozen=True)
class OptimizerSpec:
    """Gradient descent, with momentum where `decay` is positive."""

    learning_rate: float
    decay: float = 0.0
    nesterov: bool = False

    @property
    def described(self) -> str:
        """In words."""
        name = "Nesterov momentum" if self.nesterov else "momentum"
        method = f"{name} {self.decay:g}" if self.decay else "gradient descent"
        return f"{method} at rate {self.learning_rate:g}"

    def __str__(self) -> str:
        name = "nesterov" if self.nesterov else "momentum" if self.decay else "sgd"
        return f"{name}:{self.learning_rate:g}" + (f",{self.decay:g}" if name != "sgd" else "")


@dataclass(frozen=True)
class LossSpec:
    """The loss of one example: `squared`, `absolute` or `huber` with its `delta`."""

    name: str
    delta: float = 1.0

    def __str__(self) -> str:
        return f"huber:{self.delta:g}" if self.name == "huber" else self.name


def parse_model(text: str) -> ModelSpec:
    """Reads a model specification.

    Raises:
        UserError: If it is not `linear` or `mlp:` with positive sizes.

    Example:
        >>> parse_model("mlp:32,16").hidden, parse_model("linear").hidden
        ((32, 16), ())
    """
    name, _, rest = text.partition(":")
    if text == "linear":
        return ModelSpec(())
    sizes = [size.strip() for size in rest.split(",")]
    if name != "mlp" or not all(size.isdecimal() and int(size) > 0 for size in sizes):
        raise UserError(f"--model {text} is not a model; {MODEL_HELP}")
    return ModelSpec(tuple(map(int, sizes)))


def parse_optimizer(text: str) -> OptimizerSpec:
    """Reads an optimiser specification.

    Raises:
        UserError: If the name or the number of settings is wrong, the rate is not positive, or the
            decay is outside [0, 1).

    Example:
        >>> parse_optimizer("momentum:1e-2,0.9")
        OptimizerSpec(learning_rate=0.01, decay=0.9, nesterov=False)
    """
    name, _, rest = text.partition(":")
    words = rest.split(",")
    values = [value for word in words if (value := _number(word)) is not None]
    if not len(values) == len(words) == {"sgd": 1, "momentum": 2, "nesterov": 2}.get(name):
        raise UserError(f"--optimizer {text} is not an optimiser; {OPTIMIZER_HELP}")
    rate, decay = (*values, 0.0)[:2]
    if not rate > 0:
        raise UserError(f"--optimizer {text} has a learning rate of {rate:g}; it must be positive")
    if not 0 <= decay < 1:
        raise UserError(
            f"--optimizer {text} has a decay of {decay:g}; it must be at least 0 and below 1"
        )
    return OptimizerSpec(rate, decay, name == "nesterov")


def parse_loss(text: str) -> LossSpec:
    """Reads a loss specification.

    Raises:
        UserError: If the name is unknown, or the delta is not positive.

    Example:
        >>> parse_loss("huber:0.5")
        LossSpec(name='huber', delta=0.5)
    """
    name, colon, rest = text.partition(":")
    delta = _number(rest) if colon else 1.0
    if name not in ("squared", "absolute", "huber") or (colon and name != "huber"):
        raise UserError(f"--loss {text} is not a loss; {LOSS_HELP}")
    if delta is None or not delta > 0:
        raise UserError(f"--loss {text} has a delta of {rest or 'nothing'}; it must be positive")
    return LossSpec(name, delta)


def _number(text: str) -> float | None:
    """The finite number that `text` writes, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
