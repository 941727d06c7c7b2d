"""From command line to exit code. Nothing here imports JAX, so that `--help` answers at once."""

import sys
from collections.abc import Sequence

import tyro

from innerloop.cli.commands import Demo, Learn, Reproduce, Show, Train
from innerloop.cli.errors import UserError

DESCRIPTION = "How does a transformer learn inside its forward pass?"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The arguments after the program's name; `sys.argv[1:]` when not given.

    Returns:
        The exit code: 0, or 2 after a mistake of the user's, told in one line on stderr.

    Raises:
        SystemExit: From the argument parser: 0 after `--help`, 2 after an unknown option.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv == ["--version"]:
        from importlib.metadata import version

        sys.stdout.write(f"innerloop {version('innerloop')}\n")
        return 0
    command = tyro.cli(
        Demo | Learn | Reproduce | Show | Train,
        prog="innerloop",
        description=DESCRIPTION,
        args=argv,
    )
    try:
        return _run(command)
    except UserError as error:
        sys.stderr.write(f"innerloop: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("innerloop: interrupted\n")
        return 130


def _run(command: Demo | Learn | Reproduce | Show | Train) -> int:
    """Imports a command's code when it is chosen."""
    match command:
        case Demo():
            from innerloop.cli.demo import demo

            return demo(command)
        case Learn():
            from innerloop.cli.learn import learn

            return learn(command)
        case Reproduce():
            from innerloop.cli.reproduce import reproduce

            return reproduce(command)
        case Show():
            from innerloop.cli.show import show

            return show(command)
        case Train():
            from innerloop.cli.train import train

            return train(command)
