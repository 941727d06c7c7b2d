"""The page of refusals is what the compiler says today."""

import importlib.util
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "refusals.md"


@pytest.fixture(scope="module")
def made():
    """The script that writes the page, as a module."""
    path = PAGE.with_name("make_refusals.py")
    spec = importlib.util.spec_from_file_location("make_refusals", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_page_is_current(made):
    assert made.page() == PAGE.read_text()


def test_at_least_ten_programs_are_refused(made):
    assert len(made.cases()) >= 10


def test_all_reasons_come_at_once_with_their_lines(made):
    text = made.message(made.cases()["two lines at once"])
    assert "floor (make_refusals.py:" in text
    assert "sort (make_refusals.py:" in text
