"""Tests of what a user reads run without the type checker, which would speak before our message."""

import jaxtyping
import pytest


@pytest.fixture(autouse=True)
def no_type_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users run without the checker, and so does every test in this folder."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
