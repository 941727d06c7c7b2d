"""`innerloop show`: what every head and neuron of a saved model is for, and its certificate."""

from rich.table import Table

from innerloop.cli.commands import Show
from innerloop.cli.errors import UserError
from innerloop.cli.printout import printer
from innerloop.compiler import load

HEADER = ("block", "layer", "part", "size", "computes", "reads", "writes", "from")


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
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in HEADER:
        table.add_column(name, justify="right" if name in ("layer", "size") else "left")
    before = ""
    for row in model.anatomy().rows:
        if before not in ("", row.block):
            table.add_section()
        before = row.block
        table.add_row(
            row.block,
            str(row.layer),
            row.kind,
            str(row.size),
            row.computes,
            ", ".join(row.reads),
            ", ".join(row.writes),
            row.source,
        )
    console = printer()
    console.print(
        f"{path}: {model.depth} layers, width {model.width}; {model.steps} steps on {model.d} "
        f"covariates and {model.p} targets, {model.dtype}",
        soft_wrap=True,
    )
    console.print(table)
    console.print(str(model.certificate), markup=False, soft_wrap=True)
    return 0
