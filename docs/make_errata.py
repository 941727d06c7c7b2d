"""Writes errata.md: where a printed statement had to be corrected, or does not reproduce.

    python docs/make_errata.py

Every line is a claim of `innerloop.papers`; a test compares the page with a fresh run.
"""

from pathlib import Path

from innerloop.papers import PAPERS, Claim, Paper

PAGE = Path(__file__).with_name("errata.md")
HEAD = """# Errata of the literature

Where a paper's printed statement fails, the corrected one is computed beside it: each entry has the
command that shows both. This page is written by `docs/make_errata.py` from the claims themselves;
verdicts are in the report that the commands write.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for paper in PAPERS:
        claims = [claim for claim in paper.claims if claim.correction or claim.shortfall]
        if claims:
            parts.append(f"## {paper.key}\n\n{paper.authors}: *{paper.title}*, <{paper.link}>.\n")
            parts += [_entry(paper, claim) for claim in claims]
    return "\n".join(parts)


def _entry(paper: Paper, claim: Claim) -> str:
    lines = [f"**{claim.id}** ({claim.place}). {claim.statement}", ""]
    if claim.correction:
        lines += [f"*Corrected.* {claim.correction}", ""]
    if claim.shortfall:
        lines += [f"*Does not reproduce.* {claim.shortfall}", ""]
    scale = "" if claim.least == "smoke" else f" --scale {claim.least}"
    command = f"innerloop reproduce {paper.key} --claim {claim.id}{scale or ' --scale smoke'}"
    return "\n".join([*lines, "```sh", command, "```", ""])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
