"""A table split into a training and a test part, standardised on the training part."""

import numpy as np

from innerloop.cli.errors import UserError
from innerloop.cli.tables import Table
from innerloop.report import Split

MINIMUM_PART = 2


def partitioned(table: Table, *, test_size: float, seed: int) -> tuple[Split, tuple[str, ...]]:
    """Splits the rows at random and standardises covariates and targets.

    Args:
        table: The table.
        test_size: The share of the rows kept for testing.
        seed: Draws the split.

    Returns:
        The split, with the rows' order as `partition` draws it, and remarks for the user.

    Raises:
        UserError: If a target or every covariate is constant in the training part.
    """
    test, train = partition(len(table.x), test_size=test_size, seed=seed)
    x_scale, y_scale = table.x[train].std(0), table.y[train].std(0)
    if not y_scale.all():
        raise UserError(
            f"target {table.targets[int(y_scale.argmin())]!r} is constant in the {len(train)} "
            "training rows; use more rows or another --seed"
        )
    varies = x_scale > 0
    if not varies.any():
        raise UserError(
            f"every covariate is constant in the {len(train)} training rows; "
            "nothing can be learnt from them"
        )
    dropped = [name for name, keep in zip(table.features, varies, strict=True) if not keep]
    remarks = (
        (f"Left out, because constant in the training part: {', '.join(dropped)}.",)
        if dropped
        else ()
    )
    x, x_scale = table.x[:, varies], x_scale[varies]
    x_shift, y_shift = x[train].mean(0), table.y[train].mean(0)
    x, y = (x - x_shift) / x_scale, (table.y - y_shift) / y_scale
    split = Split(
        x_train=x[train],
        y_train=y[train],
        x_test=x[test],
        y_test=y[test],
        x_shift=x_shift,
        x_scale=x_scale,
        y_shift=y_shift,
        y_scale=y_scale,
        features=tuple(name for name, keep in zip(table.features, varies, strict=True) if keep),
        targets=table.targets,
    )
    return split, remarks


def partition(rows: int, *, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the test part and of the training part, two at least in each; both sorted.

    Example:
        >>> test, train = partition(10, test_size=0.2, seed=0)
        >>> len(test), len(train)
        (2, 8)
    """
    order = np.random.default_rng(seed).permutation(rows)
    m = min(max(round(test_size * rows), MINIMUM_PART), rows - MINIMUM_PART)
    return np.sort(order[:m]), np.sort(order[m:])
