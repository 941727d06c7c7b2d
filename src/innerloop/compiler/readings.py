r"""Values with radii: what a form reads of atoms that are known up to a radius.

    |transformer - value| <= radius = sum_g |noise_g| + rest

A symbol `g` is a deviation of the state before this step, between -1 and 1 and the same wherever it
shows; `noise_g` is what it moves a value by, to first order, so that what cancels is seen to
cancel. All that is not followed is in `rest`.
Axes: `t` tokens, `s` size of a form, `g` symbols.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from innerloop.compiler.forms import Atom, Form, Matrix, dims, eye, same
from innerloop.kernels import Kernel

SATURATED = 1e150
"""Stands for infinity, so that nothing times infinity is nothing."""
SPARE = 8
"""Roundings of an operation beside those of its sums: of a division, an exponential, a write."""
_SMALL = 4096

Blame = tuple[str, str]
"""What a radius comes from: in the context, and in the queries; on registers these are the same."""
Shares = list[tuple[np.ndarray, Blame]]
Noise = np.ndarray | None


def total(noise: Noise) -> np.ndarray | float:
    """How much all symbols together may move a value by."""
    return 0.0 if noise is None else np.abs(noise).sum(axis=0)


def together(*noises: Noise) -> Noise:
    """The sum, where None is nothing."""
    present = [noise for noise in noises if noise is not None]
    return sum(present[1:], start=present[0]) if present else None


def scaled(noise: Noise, factor: np.ndarray | float) -> Noise:
    """Entry by entry."""
    return None if noise is None else noise * factor


def mapped(noise: Noise, change: Callable[[np.ndarray], np.ndarray]) -> Noise:
    """A linear function of every symbol's part."""
    return None if noise is None else change(noise)


@dataclass(frozen=True, eq=False)
class Reading:
    """A form in each of its tokens.

    Args:
        value: What the learner reads.
        rest: How far the transformer's reading may be from it, beside the symbols.
        noise: What each symbol moves it by; None where none does.
        size: The sum of the absolute values of the terms.
        terms: How many terms a row has.
        blame: Where most of the radius comes from.
    """

    value: np.ndarray
    rest: np.ndarray
    noise: Noise
    size: np.ndarray
    terms: int
    blame: Blame

    @cached_property
    def radius(self) -> np.ndarray:
        """How far the transformer's reading may be from the learner's, in all."""
        return self.rest + total(self.noise)

    @cached_property
    def reach(self) -> np.ndarray:
        """The largest absolute value that the transformer may read."""
        return np.abs(self.value) + self.radius

    def rows(self, count: int) -> "Reading":
        """The context tokens only."""
        value, rest, size = self.value[:count], self.rest[:count], self.size[:count]
        noise = None if self.noise is None else self.noise[:, :count]
        return Reading(value, rest, noise, size, self.terms, (self.blame[0], self.blame[0]))


class Result(NamedTuple):
    """What an operation makes: value, rest and noise, the size of its terms, what to blame."""

    value: np.ndarray
    rest: np.ndarray
    noise: Noise
    size: np.ndarray
    blame: Blame


@dataclass(frozen=True, eq=False)
class Weights:
    """The matrices of a form, and how many roundings each of its rows takes."""

    terms: tuple[tuple[Atom, Matrix | np.ndarray | None, Matrix | np.ndarray | None], ...]
    most: int
    roundings: np.ndarray

    @staticmethod
    def of(form: Form) -> "Weights":
        """The matrices ready for use; found once for a form, however many prompts read it."""
        if form not in _KNOWN:
            _KNOWN[form] = Weights._found(form)
        return _KNOWN[form]

    @staticmethod
    def _found(form: Form) -> "Weights":
        """A row that copies one entry rounds nothing."""
        counts = np.zeros(form.size, int)
        copies = np.ones(form.size, bool)
        for weights in form.terms.values():
            present = np.diff(weights.indptr)
            counts += present
            copies &= (present == 0) | (np.abs(abs(weights).sum(axis=1) - 1.0) == 0.0)
        exact = (counts <= 1) & copies
        terms = tuple((atom, _quick(w), _quick(abs(w))) for atom, w in form.terms.items())
        return Weights(terms, int(counts.max(initial=0)), np.where(exact, 0, counts + SPARE))


_KNOWN: WeakKeyDictionary[Form, Weights] = WeakKeyDictionary()


def _quick(weights: Matrix) -> Matrix | np.ndarray | None:
    """The same matrix for multiplying often: dense if it is small, None for the identity."""
    if same(weights, eye(*dims(weights))) and dims(weights)[0] == dims(weights)[1]:
        return None
    return weights.toarray() if np.prod(dims(weights)) <= _SMALL else weights


def times(values: np.ndarray, weights: Matrix | np.ndarray | None) -> np.ndarray:
    """`values @ weights.T`, over any leading axes."""
    if weights is None:
        return values
    rows = values.reshape(-1, values.shape[-1])
    return (weights @ rows.T).T.reshape(*values.shape[:-1], (weights.shape or (0,))[0])


def scores_of(
    kernel: Kernel,
    dots: np.ndarray,
    off: np.ndarray,
    query: Reading,
    key: Reading,
    spacing: float,
) -> tuple[np.ndarray, np.ndarray]:
    """A head's weights, and how far each of them may be off, when the products may be by `off`."""
    match kernel.name:
        case "linear":
            return dots, off
        case "relu":
            return np.maximum(dots, 0.0), off
        case "exp":
            logits = dots
        case "rbf":
            squares, radii = [], []
            for side in (query, key):
                squares.append((side.value**2).sum(1))
                rounding = spacing * (2 * side.value.shape[1] + SPARE) * (side.reach**2).sum(1)
                inner = (side.radius * (2.0 * np.abs(side.value) + side.radius)).sum(1)
                radii.append(inner + rounding)
            scale = 2.0 * kernel.bandwidth**2
            logits = (2.0 * dots - squares[0][:, None] - squares[1]) / scale
            off = (2.0 * off + radii[0][:, None] + radii[1]) / scale
        case _:
            logits = dots - dots.max(axis=1, keepdims=True)
            off = off + off.max(axis=1, keepdims=True)
    scores = np.exp(logits)
    if kernel.normalised:
        scores = scores / scores.sum(axis=1, keepdims=True)
    spare = (2 * dots.shape[1] + SPARE) if kernel.normalised else SPARE
    off = off + spacing * (spare + SPARE * np.abs(logits))
    return scores, np.minimum(scores * np.expm1(off), SATURATED)
