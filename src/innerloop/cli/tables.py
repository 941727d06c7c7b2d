"""A CSV file as numbers, or one line on what is wrong with it."""

import csv
import difflib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from innerloop.cli.errors import UserError

MINIMUM_ROWS = 4
MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}


@dataclass(frozen=True)
class Table:
    """Covariates and targets of a file, with their column names."""

    features: tuple[str, ...]
    targets: tuple[str, ...]
    x: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, "n p"]


def read_table(path: Path, targets: tuple[str, ...]) -> Table:
    """Reads a CSV file with a header line; commas, semicolons or tabs between the columns.

    Args:
        path: The file.
        targets: The columns to predict; all others are covariates.

    Returns:
        Its numbers in float64.

    Raises:
        UserError: If the file cannot be read, has text, missing or infinite cells, too few rows, a
            repeated or missing column, no covariates, or a constant target.
    """
    header, lines = _cells(path)
    _check_columns(path, header, targets)
    values = _numbers(path, header, lines)
    is_target = np.array([name in targets for name in header])
    y = values[:, [header.index(name) for name in targets]]
    for name, column in zip(targets, y.T, strict=True):
        if np.ptp(column) == 0:
            raise UserError(
                f"target {name!r} is {column[0]:g} in every row of {path}; there is nothing to "
                "learn: choose a column that varies"
            )
    features = tuple(name for name in header if name not in targets)
    return Table(features, targets, values[:, ~is_target], y)


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


def _check_columns(path: Path, header: list[str], targets: tuple[str, ...]) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UserError(
            f"{path} has more than one column named {_names(repeated)}; give each its own name"
        )
    if not targets:
        raise UserError(f"no target was given; add --target with one of {_names(header)}")
    for name in targets:
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


def _numbers(
    path: Path, header: list[str], lines: list[tuple[int, list[str]]]
) -> Float[np.ndarray, "n columns"]:
    """All cells as finite numbers; text is reported by column, a missing cell by line."""
    text: dict[str, str] = {}
    values = np.empty((len(lines), len(header)))
    missing: tuple[int, str, str] | None = None
    for i, (line, row) in enumerate(lines):
        for j, cell in enumerate(row):
            try:
                values[i, j] = float(cell)
            except ValueError:
                values[i, j] = math.nan
                if cell.strip().lower() not in MISSING:
                    text.setdefault(header[j], cell.strip())
            if missing is None and not math.isfinite(values[i, j]):
                missing = (line, header[j], cell.strip())
    if text:
        name, cell = next(iter(text.items()))
        raise UserError(
            f"{path} has text in {_names(list(text))} (the first is {cell!r} in {name!r}); "
            "only numbers can be learnt from: encode or remove these columns"
        )
    if missing is not None:
        line, name, cell = missing
        what = f"holds {cell!r}" if cell else "is empty"
        count = int((~np.isfinite(values)).any(1).sum())
        raise UserError(
            f"{path}, line {line}, column {name!r} {what} ({count} of {len(lines)} rows have such "
            "a cell); every cell must be a finite number: fill it in or remove the row"
        )
    return values


def _names(names: list[str], most: int = 8) -> str:
    """Column names in quotes, the first few of many."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
