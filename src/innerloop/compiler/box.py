r"""The prompts that a certificate speaks of, as a box, and random prompts from it.

    x_ij ~ U[low_j, high_j],     y_ik ~ U[low_k, high_k]     or y_i one of the labels

Axes: `c` prompts, `n` context examples, `m` queries, `d` covariates, `p` targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array

from innerloop.prompts import Prompt

_MOST_LABELS = 16
Intervals = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Box:
    """An interval for each covariate and each target.

    Args:
        x: `(low, high)` of each covariate, in context and queries alike.
        y: `(low, high)` of each target.
        labels: The rows that targets may be, where these are labels; empty where they are numbers.

    Raises:
        ValueError: If an interval is empty or not finite.

    Example:
        >>> box = Box(x=((-1.0, 1.0), (0.0, 2.0)), y=((-3.0, 3.0),))
        >>> drawn = box.drawn(jax.random.key(0), 5, n=7, m=3)
        >>> drawn.x.shape, drawn.y.shape, bool(drawn.x[..., 1].min() >= 0.0)
        ((5, 7, 2), (5, 7, 1), True)
    """

    x: Intervals
    y: Intervals
    labels: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self):
        for name, intervals in (("x", self.x), ("y", self.y)):
            for low, high in intervals:
                if not (np.isfinite(low) and np.isfinite(high) and low <= high):
                    raise ValueError(
                        f"every interval of a box must be finite, with its low end first; {name} "
                        f"has ({low}, {high})."
                    )

    @staticmethod
    def of(prompts: Sequence[Prompt]) -> "Box":
        """The smallest box around sample prompts; 16 rows of targets or fewer are labels."""
        x = np.concatenate([np.asarray(part, float) for p in prompts for part in (p.x, p.xq)])
        y = np.concatenate([np.asarray(p.y, float) for p in prompts])
        rows = np.unique(y, axis=0)
        few = len(rows) <= _MOST_LABELS and 2 * len(rows) <= len(y)
        labels = tuple(tuple(float(v) for v in row) for row in rows) if few else ()
        return Box(_intervals(x), _intervals(y), labels)

    def drawn(self, key: Array, count: int, *, n: int, m: int) -> Prompt:
        """Random prompts of one shape, with a leading axis.

        Args:
            key: A JAX key.
            count: How many.
            n: Context examples of each.
            m: Queries of each.

        Returns:
            `(c, n, d)`, `(c, n, p)` and `(c, m, d)` in the fields of one prompt.
        """
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).astype(np.uint32))
        low, high = np.transpose(self.x)
        x, xq = (rng.uniform(low, high, (count, k, len(low))) for k in (n, m))
        if self.labels:
            y = np.asarray(self.labels)[rng.integers(len(self.labels), size=(count, n))]
        else:
            low, high = np.transpose(self.y)
            y = rng.uniform(low, high, (count, n, len(low)))
        whole = Prompt(x[0], y[0], xq[0])
        return jax.tree.unflatten(jax.tree.structure(whole), [x, y, xq])


def _intervals(values: np.ndarray) -> Intervals:
    low, high = values.min(axis=0), values.max(axis=0)
    return tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))
