"""What `--model` says, read into a value; nothing here imports JAX."""

from dataclasses import dataclass

from innerloop.cli.errors import UserError

MODEL_HELP = "write linear, or mlp:32,32 for hidden layers of 32 and 32 units"


@dataclass(frozen=True)
class ModelSpec:
    """A fully connected ReLU network by its hidden layer sizes; none is a linear model."""

    hidden: tuple[int, ...]

    def __str__(self) -> str:
        return f"mlp:{','.join(map(str, self.hidden))}" if self.hidden else "linear"


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
