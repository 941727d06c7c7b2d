"""Computes the cells of the table of what compiles, and writes matrix.md from those that are saved.

python docs/make_matrix.py        computes what is missing (hours on two cores), then writes
python docs/make_matrix.py page   writes

Cells are kept in matrix.jsonl, a line each, the last of a cell counts: what was computed on as many
prompts is not computed again.
"""

import json
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from cells import MODELS, PROMPTS, SAMPLE, STEPS, TARGETS, cells, computed
from rich.progress import track

HERE = Path(__file__).parent
SAVED = HERE / "matrix.jsonl"
_BATCH = 40
_FEWEST = 20
"""The prompts of a cell that does not say."""


def saved() -> dict[tuple[str, str, str], dict]:
    """The cells that were computed."""
    if not SAVED.exists():
        return {}
    records = [json.loads(line) for line in SAVED.read_text().splitlines()]
    return {(r["target"], r["model"], r["rule"]): {"prompts": _FEWEST, **r} for r in records}


def quietly(cell: tuple[str, str, str]) -> dict:
    """One cell, without the warnings of runs that leave a domain: the table has the figure."""
    warnings.simplefilter("ignore")
    return computed(*cell)


def compute(workers: int = 2) -> None:
    """All missing cells, saved one by one; processes are new for every forty, to free memory."""
    known = saved()
    missing = [c for c in cells() if c not in known or known[c]["prompts"] < PROMPTS]
    for start in track(range(0, len(missing), _BATCH), "forty cells each"):
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool, SAVED.open("a") as lines:
            waiting = [pool.submit(quietly, cell) for cell in missing[start : start + _BATCH]]
            for done in as_completed(waiting):
                lines.write(json.dumps(done.result()) + "\n")
                lines.flush()


def shown(cell: dict | None) -> str:
    """What a cell says."""
    if cell is None:
        return "not computed"
    if cell["refused"]:
        return "refused"
    bound = "none" if cell["bound"] > 1e3 else f"{cell['bound']:.0e}"
    return f"{cell['layers']} · {cell['error']:.0e} ≤ {bound}"


def page() -> str:
    """The whole page."""
    known = saved()
    tried = " to ".join(map(str, sorted({cell["prompts"] for cell in known.values()})))
    parts = [
        "# Learners, rules, targets",
        "",
        "Written by `python docs/make_matrix.py` from `matrix.jsonl`, which also has width, heads "
        f"and neurons of every cell. Each learner takes {STEPS} steps; it is compiled with "
        f"{SAMPLE} prompts as the sample of its domain, then run on {tried} others. A cell says: "
        "layers a step · largest relative difference from `il.run` ≤ the largest bound that "
        "`il.certify` proves for these prompts. *none*: the bound is above 1,000 and says nothing; "
        "that is so where Adam and its kin divide by a root that may vanish. Errors above the "
        "tolerance are those of prompts that leave the domain of the sample; such a run says so, "
        "and `domain='box'` makes domains for every prompt in the box of the samples where it can.",
    ]
    for target, (options, rules) in TARGETS.items():
        stated = ", ".join(f"{key}={value!r}" for key, value in options.items())
        parts += ["", f"## {target}", "", f"`il.compile(..., {stated})`", ""]
        parts.append("| | " + " | ".join(MODELS) + " |")
        parts.append("|---" * (len(MODELS) + 1) + "|")
        for rule in rules:
            row = [shown(known.get((target, model, rule))) for model in MODELS]
            parts.append(f"| {rule} | " + " | ".join(row) + " |")
        here = [r for r in known.values() if r["target"] == target]
        compiled = [r for r in here if not r["refused"]]
        exact = [r for r in compiled if r["exact"]]
        parts += [
            "",
            f"{len(compiled)} of {len(here)} cells compile, {len(exact)} of them exactly.",
        ]
        if exact:
            smooth = max(r["error"] for r in exact if r["rule"] != "lion")
            signs = max(r["error"] for r in exact if r["rule"] == "lion")
            parts[-1] += (
                f" The largest error of an exact one is {smooth:.0e}, and {signs:.0e} under lion, "
                "whose sign is a ramp that a gradient near zero may meet."
            )
        parts += refusals(here)
    return "\n".join(parts) + "\n"


def refusals(cells: list[dict]) -> list[str]:
    """Why cells are refused, a line a reason."""
    refused = [r for r in cells if r["refused"]]
    if not refused:
        return []
    lines = [f"- {r['model']}, {r['rule']}: {r['refused']}" for r in refused]
    return ["", "Refused:", "", *lines]


if __name__ == "__main__":
    if sys.argv[1:] != ["page"]:
        compute()
    (HERE / "matrix.md").write_text(page())
