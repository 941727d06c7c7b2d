"""Results on disk: words and numbers in `results.json`, arrays in `results.npz`, no pickle."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from innerloop.report.results import Cut, Lifetime, Results, Row, Study, Yardstick

JSON_FILE, ARRAY_FILE = "results.json", "results.npz"


def save_results(results: Results, directory: Path) -> None:
    """Writes `results` into `directory`, which exists."""
    arrays: dict[str, np.ndarray] = {}
    words = _without_arrays(asdict(results), "", arrays)
    (directory / JSON_FILE).write_text(json.dumps(words, indent=1, ensure_ascii=False), "utf-8")
    np.savez_compressed(directory / ARRAY_FILE, allow_pickle=False, **arrays)


def load_results(directory: Path) -> Results:
    """Reads what `save_results` wrote; the same values to the last bit.

    Raises:
        FileNotFoundError: If one of the two files is missing.
    """
    words = json.loads((directory / JSON_FILE).read_text("utf-8"))
    with np.load(directory / ARRAY_FILE, allow_pickle=False) as arrays:
        whole = _with_arrays(words, dict(arrays))
    return Results(
        command=whole["command"],
        seed=whole["seed"],
        seconds=whole["seconds"],
        versions=whole["versions"],
        messages=tuple(whole["messages"]),
        studies=tuple(_study(study) for study in whole["studies"]),
    )


def _study(fields: dict) -> Study:
    cut = fields["cut"]
    rows = [
        {**r, "reads": tuple(r["reads"]), "writes": tuple(r["writes"])} for r in fields["anatomy"]
    ]
    return Study(
        **{
            **fields,
            "targets": tuple(fields["targets"]),
            "yardsticks": tuple(Yardstick(**y) for y in fields["yardsticks"]),
            "cut": Cut(**{**cut, "outputs": tuple(cut["outputs"])}),
            "lifetimes": tuple(Lifetime(**lifetime) for lifetime in fields["lifetimes"]),
            "anatomy": tuple(Row(**row) for row in rows),
        }
    )


def _without_arrays(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """`value` with every array moved to `arrays` and its key left in its place."""
    match value:
        case np.ndarray():
            arrays[path] = value
            return {"array": path}
        case dict():
            return {
                k: _without_arrays(v, f"{path}.{k}".strip("."), arrays) for k, v in value.items()
            }
        case list() | tuple():
            return [_without_arrays(v, f"{path}.{i}", arrays) for i, v in enumerate(value)]
        case _:
            return value


def _with_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    match value:
        case {"array": str(key), **rest} if not rest:
            return arrays[key]
        case dict():
            return {k: _with_arrays(v, arrays) for k, v in value.items()}
        case list():
            return [_with_arrays(v, arrays) for v in value]
        case _:
            return value
