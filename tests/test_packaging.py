"""The package as it is shipped: what an import needs and does, and what the README promises."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import jaxtyping
import pytest

import innerloop as il

ROOT = Path(__file__).resolve().parent.parent
MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(?:root|home|Users|work|tmp)/\w")


def run_python(code: str) -> str:
    """What a new interpreter prints; a failure shows what it complained of."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def readme_commands() -> dict[str, str]:
    """README's commands, found by the file that `.ci/run` finds them with."""
    spec = importlib.util.spec_from_file_location("readme", ROOT / ".ci" / "readme.py")
    readme = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(readme)
    return readme.commands((ROOT / "README.md").read_text(encoding="utf-8"))


WITHOUT_EXTRAS = """
import sys
for name in ("sklearn", "matplotlib", "pandas", "flint"):
    sys.modules[name] = None
import innerloop
"""

NAME_EVERYTHING = """
names = {name for name in dir(innerloop) if not name.startswith("_")}
assert {"Prompt", "run", "compile"} <= names, names
for name in names - {"report"}:
    getattr(innerloop, name)
"""

DEMO = """
import contextlib, innerloop.cli
with contextlib.redirect_stderr(sys.stdout):
    assert innerloop.cli.main(["demo"]) == 2
"""

COMPARE_STATE = """
import logging, os, random, warnings
import jax, numpy, scipy.sparse, scipy.special  # scipy sets filters for its own warnings

def state():
    return {
        "jax": dict(jax.config.values), "environment": dict(os.environ), "files": os.listdir(),
        "warnings": list(warnings.filters), "logging": logging.getLogger().level,
        "random": (random.getstate(), str(numpy.random.get_state())), "numpy": numpy.geterr(),
    }

before = state()
import innerloop
for name in dir(innerloop):
    getattr(innerloop, name)
after = state()
assert after == before, [key for key in before if after[key] != before[key]]
"""


def test_the_core_needs_no_extra():
    run_python(WITHOUT_EXTRAS + NAME_EVERYTHING)


def test_who_draws_without_the_extra_is_told_what_to_install():
    said = run_python(WITHOUT_EXTRAS + DEMO)
    assert "matplotlib" in said and "pip install" in said


def test_an_import_has_no_effects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_python(COMPARE_STATE)


@pytest.mark.parametrize("module", ["innerloop", "innerloop.cli"])
def test_help_does_not_wait_for_jax(module):
    assert run_python(f"import sys, {module}; print('jax' in sys.modules)") == "False"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="innerloop.*no_such_name"):
        il.no_such_name  # noqa: B018


def test_readme_opens_with_the_demo_then_the_tests():
    commands = readme_commands()
    assert commands["demo"].endswith('/innerloop" demo')
    assert "pytest" in commands["tests"]
    for command in commands.values():
        assert "${VENV:-.venv}" in command
        assert "\n" not in command, "a command is one line, to be copied at once"


def test_the_suite_runs_under_the_type_checker():
    with pytest.raises(jaxtyping.TypeCheckError):
        il.squared_error(jnp.ones((2, 3)), jnp.ones(3))


def test_no_file_names_a_path_of_one_machine():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    assert ROOT / "tests" / "test_packaging.py" in files
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in files
        if path.is_file()
        for match in MACHINE_PATH.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []
