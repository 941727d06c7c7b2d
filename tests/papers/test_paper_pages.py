"""The page of a paper names every claim of it, and no other."""

import re
from pathlib import Path

import pytest

from innerloop.papers import paper

PAGES = sorted((Path(__file__).parents[2] / "docs" / "papers").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_every_claim_of_its_paper_and_how_to_run_them(page):
    text, subject = page.read_text("utf-8"), paper(page.stem)
    names = {claim.id for claim in subject.claims}
    assert names <= set(re.findall(r"`([a-z0-9-]+)`", text))
    tabled = set(re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE))
    assert tabled <= names
    assert f"innerloop reproduce {subject.key}" in text
    assert subject.link in text


def test_there_are_pages():
    assert PAGES
