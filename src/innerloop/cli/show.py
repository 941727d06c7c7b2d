"""`innerloop show`: what every head and neuron of a saved model is for, and its certificate."""

from rich.table import Table

from innerloop.cli.commands import Show
from innerloop.cli.errors import UserError
from innerloop.cli.printout import printer
from innerloop.compiler import load
from innerloop.compiler.anatomy import Anatomy

HEADER = ("part", "size", "computes", "reads", "writes", "from")


def show(command: Show) -> int:
    """Runs the command.

    Args:
        command: Its options.

    Returns:
        The exit code, 0.

    Raises:
        UserError: If the path holds no model.
    """
    path = command.model
    if not path.exists():
        raise UserError(f"{path} does not exist; give a directory that il.save wrote")
    if not (path / "config.json").is_file() and (path / "model").is_dir():
        path = path / "model"
    try:
        model = load(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(" ".join(str(error).split())) from None
    console = printer()
    console.print(
        f"{path}: {model.depth} layers, width {model.width}; {model.steps} steps on {model.d} "
        f"covariates and {model.p} targets, {model.dtype}",
        soft_wrap=True,
    )
    console.print(anatomy_table(model.anatomy()))
    console.print(str(model.certificate), markup=False, soft_wrap=True)
    return 0


def anatomy_table(anatomy: Anatomy) -> Table:
    """A row for each head and group of neurons, under a heading for each layer of each block."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in HEADER:
        justify = "right" if name == "size" else "left"
        table.add_column(name, justify=justify, no_wrap=name in ("part", "from"))
    heading = ""
    for part in anatomy.rows:
        if heading != (heading := f"{part.block}, layer {part.layer}"):
            table.add_row()
            table.add_row(heading, style="bold")
        table.add_row(
            part.kind,
            str(part.size),
            part.computes,
            ", ".join(part.reads),
            ", ".join(part.writes),
            part.source.split("  ")[0],
        )
    return table
