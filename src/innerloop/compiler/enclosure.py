r"""What the weights of a model compute in exact arithmetic, enclosed in balls.

Every number of the pass is a ball, a middle and a radius, and every operation returns a ball that
contains all exact results (Arb's arithmetic). The weights and the prompt are floats and thus balls
of radius zero:

    |model(prompt) - exact| <= rounding,      proved, not estimated

A coordinate that is wiped keeps the radius of what was in it, and a gate multiplies it by 1e12, so
the pass is repeated with twice the bits until it is known to the precision of a float.
Only weights that are not zero are multiplied; compiled layers are almost empty.
Axes: `t` tokens, `n` of which are context; `r` residual width; `m` queries, `p` targets.
Reference: Johansson (2017), Arb, IEEE Transactions on Computers 66(8).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import jax
import numpy as np
import scipy.sparse as sp

from innerloop.compiler.compiled import Compiled
from innerloop.models.attention import Attention
from innerloop.models.mlp import MLP
from innerloop.prompts import Prompt
from innerloop.tokens import CONTEXT_ROLE, QUERY_ROLE, REGISTER_ROLE

Ball = Any
"""A `flint.arb`; the package is an extra and has no types."""
Stream = list[list[Ball]]
"""By token, then by coordinate."""
_FEWEST_BITS = 128
_SMALL = 2.0**-60


@dataclass(frozen=True, eq=False)
class Enclosure:
    """Where the exact result of a pass lies, and how far its computation was from it.

    Args:
        predictions: What the model computed, `(m, p)`.
        low: Lower bounds on the exact results, rounded down, `(m, p)`.
        high: Upper bounds, rounded up, `(m, p)`.
        rounding: Upper bounds on `|predictions - exact|`, `(m, p)`.
    """

    predictions: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rounding: np.ndarray

    def __str__(self) -> str:
        width = float((self.high - self.low).max())
        return (
            f"{self.predictions.size} predictions within {self.rounding.max():.2g} of what the "
            f"weights compute in exact arithmetic, which is known to {width:.2g}"
        )


def enclose(model: Compiled, prompt: Prompt, *, most_bits: int = 8192) -> Enclosure:
    """A rigorous enclosure of what a model's weights compute on one prompt in exact arithmetic.

    `low <= exact <= high` and `|model(prompt) - exact| <= rounding`, by ball arithmetic.

    Args:
        model: A compiled learner.
        prompt: Context and queries, in the model's precision.
        most_bits: The largest precision to try; with too little of it the enclosure is wide.

    Returns:
        The enclosure of the predictions after the last step.

    Raises:
        ImportError: If python-flint is not installed.
        ValueError: If `most_bits` is too small, or the model has neurons without an enclosure.

    Example:
        >>> import numpy as np, optax
        >>> import innerloop as il
        >>> prompt = il.Prompt([[1.0], [2.0]], [[2.0], [4.0]], [[3.0]])
        >>> line = il.learner(lambda w, x: w @ x, np.zeros((1, 1)), optimizer=optax.sgd(0.1))
        >>> found = il.enclose(il.compile(line, steps=3, like=prompt), prompt)
        >>> bool(0 < found.rounding.max() < 1e-14), bool((found.low <= found.high).all())
        (True, True)
    """
    if most_bits < _FEWEST_BITS:
        raise ValueError(f"most_bits must be at least {_FEWEST_BITS}; got {most_bits}.")
    flint = _flint()
    cast = jax.tree.map(lambda leaf: np.asarray(leaf).astype(model.dtype), prompt)
    predictions = np.asarray(model(cast))
    before, bits = flint.ctx.prec, _FEWEST_BITS
    try:
        while True:
            flint.ctx.prec = bits
            balls = _Pass(flint.arb, model, cast).predictions()
            if 2 * bits > most_bits or all(_is_known(ball) for row in balls for ball in row):
                return _enclosure(predictions, balls)
            bits *= 2
    finally:
        flint.ctx.prec = before


def _is_known(ball: Ball) -> bool:
    """Whether a ball is small beside the spacing of floats."""
    return bool(ball.rad() <= _SMALL * (1 + abs(ball)).lower())


def _enclosure(predictions: np.ndarray, balls: Stream) -> Enclosure:
    """Balls as floats, rounded outwards."""
    low, high, rounding = (np.zeros(predictions.shape) for _ in range(3))
    for place, value in np.ndenumerate(predictions):
        ball = balls[place[0]][place[1]]
        low[place], high[place] = _below(ball), _above(ball)
        rounding[place] = _above(abs(ball - type(ball)(float(value))))
    return Enclosure(predictions, low, high, rounding)


def _flint() -> Any:
    try:
        return import_module("flint")
    except ImportError as error:
        raise ImportError(
            "il.enclose computes with the balls of python-flint, which is not installed. Install "
            "it with `pip install 'innerloop[certify]'`."
        ) from error


def _above(ball: Ball) -> float:
    """A float that no point of the ball exceeds."""
    if not ball.is_finite():
        return float("inf")
    nearest = float(ball.upper())
    return nearest if ball.upper() <= type(ball)(nearest) else float(np.nextafter(nearest, np.inf))


def _below(ball: Ball) -> float:
    """A float that every point of the ball reaches."""
    return -_above(-ball)


class _Pass:
    """One pass of a model over a prompt, in balls."""

    def __init__(self, arb: Any, model: Compiled, prompt: Prompt):
        self.arb, self.model, self.prompt = arb, model, prompt
        self.zero = arb(0)
        roles = [CONTEXT_ROLE, QUERY_ROLE, REGISTER_ROLE]
        self.roles = np.repeat(roles, [prompt.n, prompt.m, len(model.registers)])
        self.blocks = jax.tree.map(np.asarray, model.transformer.blocks)

    def predictions(self) -> list[list[Ball]]:
        """At the queries, after the last layer."""
        prompt, stream = self.prompt, self._beginning()
        for layer in self.model.transformer.order:
            added = [self._attended(heads, layer, stream) for heads in self.blocks.attention]
            stream = [
                [sum(parts, start=h) for h, *parts in zip(*rows, strict=True)]
                for rows in zip(stream, *added, strict=True)
            ]
            if self.blocks.mlp is not None:
                stream = self._with_neurons(self.blocks.mlp, layer, stream)
        read = self._rows(np.asarray(self.model.unembed))
        return [self._times(read, token) for token in stream[prompt.n : prompt.n + prompt.m]]

    def _beginning(self) -> Stream:
        """The residual stream before the first layer."""
        prompt, model = self.prompt, self.model
        x = np.concatenate([prompt.x, prompt.xq])
        y = np.zeros((len(x), prompt.p))
        y[: prompt.n] = prompt.y
        embed = self._rows(np.asarray(model.embed))
        tokens = np.concatenate([x, y, np.ones((len(x), 1))], axis=1)
        data = [self._times(embed, [self._ball(v) for v in token]) for token in tokens]
        return data + [[self._ball(v) for v in row] for row in np.asarray(model.registers)]

    def _attended(self, heads: Attention, layer: int, stream: Stream) -> Stream:
        """What the heads of a layer add."""
        added = [[self.zero] * self.model.width for _ in stream]
        for h in range(heads.W_Q.shape[1]):
            maps = (heads.W_Q, heads.W_K, heads.W_V, heads.W_O)
            query, key, value, out = (self._rows(weights[layer, h]) for weights in maps)
            read = np.flatnonzero(heads.sources[layer, h][self.roles])
            keys = [self._times(key, stream[j]) for j in read]
            values = [self._times(value, stream[j]) for j in read]
            count = self.prompt.n if heads.averages[layer, h] else 1
            for i in np.flatnonzero(heads.readers[layer, h][self.roles]):
                scores = self._scores(heads, self._times(query, stream[i]), keys)
                mixed = [self._product(scores, [v[c] for v in values]) for c in range(len(value))]
                for c, part in enumerate(self._times(out, mixed)):
                    if not part.is_zero():
                        added[i][c] = added[i][c] + part / count
        return added

    def _scores(self, heads: Attention, query: Sequence[Ball], keys: Stream) -> list[Ball]:
        """A head's weights for one query."""
        kernel = heads.kernel
        if kernel.name == "rbf":
            scale = -2 * self._ball(kernel.bandwidth) ** 2
            gaps = [[(q - k) ** 2 for q, k in zip(query, key, strict=True)] for key in keys]
            return [(self._sum(gap) / scale).exp() for gap in gaps]
        dots = [self._product(query, key) for key in keys]
        match kernel.name:
            case "linear":
                return dots
            case "relu":
                return [self._rectified(dot) for dot in dots]
            case "exp":
                return [dot.exp() for dot in dots]
        weights = [dot.exp() for dot in dots]
        total = self._sum(weights)
        return [weight / total for weight in weights]

    def _with_neurons(self, mlp: MLP, layer: int, stream: Stream) -> Stream:
        """The stream after a layer's ReLU or ReGLU neurons."""
        if mlp.activation not in ("relu", "reglu"):
            raise ValueError(f"neurons of kind {mlp.activation!r} have no enclosure.")
        used = np.flatnonzero(np.abs(mlp.W_out[layer]).sum(axis=0))
        value = self._rows(mlp.W_in[layer][used], mlp.b_in[layer][used])
        gate = None
        if mlp.W_gate is not None and mlp.b_gate is not None:
            gate = self._rows(mlp.W_gate[layer][used], mlp.b_gate[layer][used])
        out = self._rows(mlp.W_out[layer][:, used], mlp.b_out[layer])
        after = []
        for token in stream:
            hidden = self._times(value, token)
            if gate is None:
                hidden = [self._rectified(h) for h in hidden]
            else:
                opened = [self._rectified(g) for g in self._times(gate, token)]
                hidden = [g * h for g, h in zip(opened, hidden, strict=True)]
            after.append([h + a for h, a in zip(token, self._times(out, hidden), strict=True)])
        return after

    def _rows(self, weights: Any, biases: Any = None) -> list:
        """By row, its bias and the weights that are not zero, with their columns."""
        matrix = sp.csr_array(np.asarray(weights))
        starts = matrix.indptr
        constants = np.zeros(len(weights)) if biases is None else np.asarray(biases)
        return [
            (
                self._ball(constants[i]),
                [
                    (int(column), self._ball(entry))
                    for column, entry in zip(
                        matrix.indices[start:stop], matrix.data[start:stop], strict=True
                    )
                ],
            )
            for i, (start, stop) in enumerate(zip(starts, starts[1:], strict=False))
        ]

    def _times(self, rows: list, token: Sequence[Ball]) -> list[Ball]:
        """Rows times a token."""
        return [
            self._sum((w * token[c] for c, w in entries if not token[c].is_zero()), bias)
            for bias, entries in rows
        ]

    def _product(self, left: Sequence[Ball], right: Sequence[Ball]) -> Ball:
        """The inner product; most of its terms are exactly zero."""
        pairs = zip(left, right, strict=True)
        return self._sum(a * b for a, b in pairs if not (a.is_zero() or b.is_zero()))

    def _sum(self, terms, start: Ball | None = None) -> Ball:
        return sum(terms, start=self.zero if start is None else start)

    def _rectified(self, ball: Ball) -> Ball:
        return ball if ball >= 0 else ball.max(self.zero)

    def _ball(self, value: float | np.floating) -> Ball:
        return self.arb(float(value))
