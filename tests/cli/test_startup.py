"""`innerloop --help` answers before anyone could wonder: it must not wait for JAX."""

import resource
import subprocess
import sys

import pytest

import innerloop
from innerloop.cli import main

HEAVY = ("jax", "numpy", "scipy", "matplotlib", "sklearn", "pandas", "optax", "equinox")


def _python(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    "words",
    [
        f"{command} --help".strip()
        for command in ("", "demo", "learn", "reproduce", "show", "train")
    ],
)
def test_help_imports_nothing_heavy(words):
    code = (
        "import sys\nfrom innerloop.cli import main\n"
        f"try: main({words.split()!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert _python("-c", code).stdout.splitlines()[-1] == "[]"


def test_help_answers_in_less_than_three_tenths_of_a_second():
    """Measured in processor time, so that other work on the machine does not count."""
    took = []
    while min(took, default=1.0) >= 0.3 and len(took) < 10:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _python("-m", "innerloop.cli", "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < 0.3, took


def test_the_help_names_the_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    commands = ("demo", "learn", "reproduce", "show", "train")
    assert all(command in out for command in commands)


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("innerloop 0.")


def test_every_name_of_the_package_is_there_and_is_listed():
    for name in innerloop._HOMES:
        assert getattr(innerloop, name) is not None
        assert name in dir(innerloop)


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'transmute'"):
        innerloop.transmute  # noqa: B018
