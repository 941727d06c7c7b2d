"""A CSV file as columns of numbers and of text, or one line on what is wrong with it."""

import csv
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from innerloop.cli.errors import UserError

MINIMUM_ROWS = 4
MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}


@dataclass(frozen=True)
class Table:
    """A file's columns by name: float64 arrays of numbers, or string arrays of text.

    Args:
        features: The covariates, in the file's order.
        targets: The columns to predict, in the order given.
        columns: All of them, one entry a row.
    """

    features: tuple[str, ...]
    targets: tuple[str, ...]
    columns: Mapping[str, np.ndarray]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.columns[self.targets[0]])

    def is_text(self, name: str) -> bool:
        """Whether a column holds text."""
        return self.columns[name].dtype.kind == "U"


def read_table(path: Path, targets: tuple[str, ...], categorical: tuple[str, ...] = ()) -> Table:
    """Reads a CSV file with a header line; commas, semicolons or tabs between the columns.

    Args:
        path: The file.
        targets: The columns to predict; all others are covariates.
        categorical: Columns whose numbers are names of categories.

    Returns:
        Its columns.

    Raises:
        UserError: If the file cannot be read, has missing or infinite cells, words among numbers,
            too few rows, a repeated or missing column, no covariates, or a constant target.
    """
    header, lines = _cells(path)
    _check_columns(path, header, targets, categorical)
    columns = {}
    missing: list[tuple[int, str, str]] = []
    for j, name in enumerate(header):
        cells = [(line, row[j].strip()) for line, row in lines]
        columns[name] = _column(path, name, cells, name in categorical, missing)
    if missing:
        line, name, cell = min(missing, key=lambda found: (found[0], header.index(found[1])))
        what = f"holds {cell!r}" if cell else "is empty"
        raise UserError(
            f"{path}, line {line}, column {name!r} {what} ({len({m[0] for m in missing})} of "
            f"{len(lines)} rows have such a cell); every cell must be a finite number or a word: "
            "fill it in or remove the row"
        )
    for name in targets:
        if (columns[name] == columns[name][0]).all():
            value = columns[name][0]
            shown = repr(str(value)) if columns[name].dtype.kind == "U" else f"{value:g}"
            raise UserError(
                f"target {name!r} is {shown} in every row of {path}; there is nothing to "
                "learn: choose a column that varies"
            )
    return Table(tuple(name for name in header if name not in targets), targets, columns)


def _column(
    path: Path,
    name: str,
    cells: list[tuple[int, str]],
    is_category: bool,
    missing: list[tuple[int, str, str]],
) -> np.ndarray:
    """One column as numbers, or as text where no cell is a number; notes its missing cells."""
    present = [(line, cell) for line, cell in cells if cell.lower() not in MISSING]
    missing += [(line, name, cell) for line, cell in cells if cell.lower() in MISSING]
    words = [(line, cell) for line, cell in present if _number(cell) is None]
    if is_category or (words and len(words) == len(present)):
        return np.array([cell for _, cell in cells])
    if words:
        line, cell = words[0]
        raise UserError(
            f"{path}, line {line}, column {name!r} holds {cell!r}, but {len(present) - len(words)} "
            f"of its {len(cells)} cells are numbers; correct it, or add --categorical "
            f"{name!r} if all of them are names of categories"
        )
    values = np.array([math.nan if (v := _number(cell)) is None else v for _, cell in cells])
    missing += [(line, name, cell) for line, cell in present if not math.isfinite(float(cell))]
    return values


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and every row that is not blank with its line number."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            start = file.readline()
            delimiter = max(",;\t", key=start.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give the path of a CSV file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text in columns"
        raise UserError(f"{path} cannot be read as a CSV file: {reason}") from None
    if not rows:
        raise UserError(
            f"{path} is empty; a header line and {MINIMUM_ROWS} or more rows are needed"
        )
    header = [name.strip() for name in rows[0][1]]
    if len(rows) - 1 < MINIMUM_ROWS:
        raise UserError(
            f"{path} has {len(rows) - 1} {'row' if len(rows) == 2 else 'rows'} below its header; "
            f"at least {MINIMUM_ROWS} are needed to train and to test"
        )
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise UserError(
                f"{path}, line {line}, has {len(row)} cells where the header has {len(header)}; "
                "give every row one cell a column"
            )
    return header, rows[1:]


def _check_columns(
    path: Path, header: list[str], targets: tuple[str, ...], categorical: tuple[str, ...]
) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UserError(
            f"{path} has more than one column named {_names(repeated)}; give each its own name"
        )
    if not targets:
        raise UserError(f"no target was given; add --target with one of {_names(header)}")
    for name in (*targets, *categorical):
        if name not in header:
            close = difflib.get_close_matches(name, header, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise UserError(
                f"{path} has no column {name!r}; its columns are {_names(header)}{hint}"
            )
    if len(set(targets)) < len(targets):
        raise UserError(f"--target names a column twice: {_names(list(targets))}; name it once")
    if set(header) == set(targets):
        raise UserError(
            f"{path} has no columns besides the target {_names(list(targets))}; "
            "at least one covariate is needed"
        )


def _names(names: list[str], most: int = 8) -> str:
    """Column names in quotes, the first few of many."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
