"""`innerloop reproduce`: lists, computes, reports, and says what it cannot find."""

from xml.etree import ElementTree


def test_the_list_has_every_claim(innerloop):
    from innerloop.papers import PAPERS  # noqa: PLC0415 (the command line must not wait for it)

    answer = innerloop("reproduce", "--list")
    assert (answer.code, answer.err) == (0, "")
    for paper in PAPERS:
        for claim in paper.claims:
            assert paper.key in answer.out
            assert claim.id in answer.out


def test_a_claim_is_computed_and_reported_on(innerloop, tmp_path):
    answer = innerloop(
        "reproduce", "mahankali2023", "--claim", "step-size", "--scale", "smoke", "--jobs", "1"
    )
    assert (answer.code, answer.err) == (0, "")
    assert "reproduced" in answer.out
    out = tmp_path / "innerloop-reproduce"
    page = (out / "mahankali2023.html").read_text("utf-8")
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (out / "figures/mahankali2023-step-size.png").read_bytes().startswith(b"\x89PNG")
    ElementTree.parse(out / "figures/mahankali2023-step-size.svg")


def test_what_does_not_exist_is_told_with_what_does(innerloop):
    paper = innerloop("reproduce", "mahankali", "--list")
    claim = innerloop("reproduce", "mahankali2023", "--claim", "speed", "--list")
    assert (paper.code, claim.code) == (2, 2)
    assert "mahankali2023" in paper.err
    assert "step-size" in claim.err
    assert innerloop("reproduce", "mahankali2023", "--jobs", "0").code == 2
