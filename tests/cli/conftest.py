"""Tables that a person might have, and the command line run in a directory of its own."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from innerloop.cli import main

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    code: int
    out: str
    err: str


@pytest.fixture
def innerloop(tmp_path, monkeypatch, capsys):
    """Runs `innerloop` with the given words, in the test's own directory."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Answer:
        capsys.readouterr()
        code = main(words)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


@pytest.fixture
def houses(tmp_path, rng) -> Path:
    """A file of 23 rows, two targets that depend on three covariates, and a constant column."""
    x = rng.normal(size=(23, 3)) * [1.0, 20.0, 0.1] + [3.0, 90.0, 0.0]
    price = 50.0 * x[:, :1] + 2.0 * x[:, 1:2] + rng.normal(size=(23, 1))
    rent = price / 20.0 + 3.0 * np.abs(x[:, 2:])
    columns = np.concatenate([x, np.ones((23, 1)), price, rent], axis=1)
    path = tmp_path / "houses.csv"
    np.savetxt(path, columns, delimiter=",", header="rooms,area,noise,one,price,rent", comments="")
    return path


@pytest.fixture(scope="session")
def messages_page() -> ModuleType:
    """The script that writes the page of messages."""
    spec = importlib.util.spec_from_file_location("messages", ROOT / "docs/make_cli_messages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
