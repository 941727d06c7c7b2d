"""A table's columns as covariates: numbers standardised, text one-hot; the training part decides.

Axes: `n` rows of the table, `d` covariates.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from innerloop.cli.errors import UserError
from innerloop.cli.tables import Table

MOST_LEVELS = 50
SHOWN = 5


@dataclass(frozen=True)
class Covariates:
    """What the network sees of every row.

    Args:
        names: A name for each covariate; `column=word` for one-hot ones.
        x: The covariates of all rows.
        shift: What was subtracted from each.
        scale: What each was then divided by.
        remarks: What the user should know.
    """

    names: tuple[str, ...]
    x: Float[np.ndarray, "n d"]
    shift: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]
    remarks: tuple[str, ...]


def covariates(table: Table, train: Int[np.ndarray, " rows"]) -> Covariates:
    """Encodes the covariates of a table.

    A word that the training part does not hold is zero in all of its column's covariates.

    Args:
        table: The table.
        train: The rows that decide on means, deviations and levels.

    Raises:
        UserError: If a column of text has too many levels, or every covariate is constant.
    """
    names, columns, shift, scale = [], [], [], []
    one_hot, unseen, constant = [], [], []
    for name in table.features:
        column = table.columns[name]
        if not table.is_text(name):
            deviation = column[train].std()
            if deviation > 0:
                names.append(name)
                columns.append(column)
                shift.append(column[train].mean())
                scale.append(deviation)
            else:
                constant.append(name)
            continue
        _refuse_many(name, column)
        levels = sorted_levels(column[train])
        if len(levels) == 1:
            constant.append(name)
            continue
        one_hot.append(f"{name} ({len(levels)} levels)")
        if strange := [str(word) for word in sorted_levels(column) if word not in levels]:
            unseen.append(f"{', '.join(map(repr, strange[:SHOWN]))} of {name}")
        for level in levels:
            names.append(f"{name}={level}")
            columns.append((column == level).astype(float))
            shift.append(0.0)
            scale.append(1.0)
    if not names:
        raise UserError(
            f"every covariate is constant in the {len(train)} training rows; "
            "nothing can be learnt from them"
        )
    remarks = []
    if one_hot:
        remarks.append(f"Text, made one-hot: {', '.join(one_hot)}.")
    if unseen:
        remarks.append(f"Not in the training part, so zero everywhere: {'; '.join(unseen)}.")
    if constant:
        remarks.append(f"Left out, because constant in the training part: {', '.join(constant)}.")
    moved, divided = np.array(shift), np.array(scale)
    x = (np.stack(columns, axis=1) - moved) / divided
    return Covariates(tuple(names), x, moved, divided, tuple(remarks))


def sorted_levels(column: np.ndarray) -> list[str]:
    """The different words of a column in order; of numbers, by size.

    Example:
        >>> sorted_levels(np.array(["10", "9", "9"])), sorted_levels(np.array(["b", "10", "a"]))
        (['9', '10'], ['10', 'a', 'b'])
    """
    words = [str(word) for word in np.unique(column)]
    try:
        return sorted(words, key=float)
    except ValueError:
        return words


def _refuse_many(name: str, column: np.ndarray) -> None:
    levels = len(np.unique(column))
    if levels > MOST_LEVELS:
        raise UserError(
            f"column {name!r} holds {levels} different words in {len(column)} rows; at most "
            f"{MOST_LEVELS} are made one-hot: remove the column, or group its rarer words"
        )
