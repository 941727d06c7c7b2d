"""A table's targets as the loss needs them: standardised numbers, scaled counts, or classes.

Axes: `n` rows of the table, `p` targets or classes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from innerloop.cli.encoding import MOST_LEVELS, sorted_levels
from innerloop.cli.errors import UserError
from innerloop.cli.losses import FOR_CLASSES, FOR_NUMBERS, LOSSES, LossSpec
from innerloop.cli.tables import Table

_KINDS = ("numbers", "counts", "classes")


@dataclass(frozen=True)
class Answers:
    """What the network is to answer for every row.

    Args:
        names: The targets, or the classes.
        y: One-hot rows for classes; numbers in the units that the network sees otherwise.
        shift: What was subtracted from the targets.
        scale: What they were then divided by.
        remarks: What the user should know.
    """

    names: tuple[str, ...]
    y: Float[np.ndarray, "n p"]
    shift: Float[np.ndarray, " p"]
    scale: Float[np.ndarray, " p"]
    remarks: tuple[str, ...] = ()


def loss_for(table: Table, chosen: LossSpec | None) -> LossSpec:
    """The loss to train with: the one chosen, or the usual one for the kind of target.

    Raises:
        UserError: If the targets are not what the loss is for.
    """
    text = [name for name in table.targets if table.is_text(name)]
    first, *others = table.targets
    if text and others:
        raise UserError(
            f"target {text[0]!r} holds text, so its words are classes, and classes are learnt "
            "alone: give one --target"
        )
    loss = chosen or LossSpec(FOR_CLASSES if text else FOR_NUMBERS)
    kinds = {kind: [k for k, r in LOSSES.items() if r.targets == kind] for kind in _KINDS}
    if text and loss.rule.targets != "classes":
        raise UserError(
            f"--loss {loss} is for numbers, and target {first!r} holds text; use "
            f"{_either(kinds['classes'])}"
        )
    if not text and loss.rule.targets == "classes":
        raise UserError(
            f"--loss {loss} is for classes, and target {first!r} holds numbers; use "
            f"{_either(kinds['numbers'])}, or add --categorical {first!r}"
        )
    for name in table.targets:
        if loss.rule.targets == "counts" and (column := table.columns[name]).min() < 0:
            raise UserError(
                f"--loss {loss} is for counts, and target {name!r} is {column.min():g} in a row; "
                f"use {_either(kinds['numbers'])}"
            )
    return loss


def answers(table: Table, train: Int[np.ndarray, " rows"], loss: LossSpec) -> Answers:
    """Encodes the targets of a table.

    Args:
        table: The table.
        train: The rows that decide on means and deviations.
        loss: The loss, which is for such targets.

    Raises:
        UserError: If a target is constant in the training part, or has too many classes.
    """
    for name in table.targets:
        if (table.columns[name][train] == table.columns[name][train][0]).all():
            raise UserError(
                f"target {name!r} is constant in the {len(train)} "
                "training rows; use more rows or another --seed"
            )
    if loss.rule.targets == "classes":
        return _classes(table, train)
    y = np.stack([table.columns[name] for name in table.targets], axis=1)
    p = y.shape[1]
    if loss.rule.targets == "counts":
        shift, scale = np.zeros(p), y[train].mean(0)
    else:
        shift, scale = y[train].mean(0), y[train].std(0)
    return Answers(table.targets, (y - shift) / scale, shift, scale)


def _classes(table: Table, train: Int[np.ndarray, " rows"]) -> Answers:
    (name,) = table.targets
    column = table.columns[name]
    classes = sorted_levels(column)
    if len(classes) > MOST_LEVELS:
        raise UserError(
            f"target {name!r} holds {len(classes)} different words in {len(column)} rows; at most "
            f"{MOST_LEVELS} are taken as classes: group the rarer ones"
        )
    y = np.stack([(column == word).astype(float) for word in classes], axis=1)
    untaught = [word for word in classes if word not in column[train]]
    remarks = (
        (f"Classes that no training row shows: {', '.join(map(repr, untaught))}.",)
        if untaught
        else ()
    )
    p = len(classes)
    return Answers(tuple(classes), y, np.zeros(p), np.ones(p), remarks)


def _either(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
