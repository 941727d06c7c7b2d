"""The page of errata is what the claims say today."""

import importlib.util
from pathlib import Path

from innerloop.papers import PAPERS

PAGE = Path(__file__).parents[2] / "docs" / "errata.md"


def test_the_page_is_current_and_has_every_correction():
    spec = importlib.util.spec_from_file_location("make_errata", PAGE.with_name("make_errata.py"))
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    page = made.page()
    assert page == PAGE.read_text("utf-8")
    for paper in PAPERS:
        for claim in paper.claims:
            assert not claim.correction or f"--claim {claim.id}" in page
