"""What the user can put right is told in one line, with exit code 2 and no traceback."""

import importlib.util


class UserError(Exception):
    """A mistake in what the user gave: the message says what was given, needed, and what to do."""


def require_extra(*modules: str, extra: str = "demo") -> None:
    """Refuses to start when a module that comes with an extra is not installed.

    Args:
        *modules: Top-level module names, such as `matplotlib`.
        extra: The extra of this package that brings them.

    Raises:
        UserError: If one of them is missing; it says what to install.

    Example:
        >>> require_extra("no_such_module")
        Traceback (most recent call last):
        innerloop.cli.errors.UserError: this command needs no_such_module, which is not installed; \
run: pip install 'innerloop[demo]'
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise UserError(
            f"this command needs {' and '.join(missing)}, which is not installed; "
            f"run: pip install 'innerloop[{extra}]'"
        )
