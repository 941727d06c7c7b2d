r"""Linear heads in other kinds of attention: pairs of heads whose difference is linear.

    relu      s = relu(s) - relu(-s)                                                       exact
    rbf       e^(-|k - q|^2 / 2 s^2) = e^(k.q / s^2 - |k|^2 / 2 s^2 - |q|^2 / 2 s^2)       exact
    softmax   s ~ e^c / (2 b) (P(b) - P(-b)),  P(b) = e^(b s_j) / (e^c + sum_k e^(b s_k))

In a softmax nearly all weight goes to a sink, a token that says nothing and is seen with logit `c`;
what is left over is `e^(b s - c)`. The sink also knows `log n`: seen with `c + log n`, it makes a
mean over the context, so no weight depends on how many examples there are. With `S` the largest
score and `beta = b S`, the error of a score is at most, relative to `S`,

    beta^2 / 6 + 4 e^-c + 4 ulp(2 c) / beta        for a pair
    beta^4 / 30 + 4 e^-c + 8 ulp(2 c) / beta       for two pairs at `b` and `2 b` (Richardson)

Axes: `k` key size, `v` value size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from innerloop.compiler.errors import Refusal
from innerloop.compiler.forms import Atom, Form, matrix
from innerloop.compiler.graph import Flags, Head, Operation, Product, Program
from innerloop.compiler.schedule import Schedule
from innerloop.compiler.wiring import Wired
from innerloop.kernels import Kernel

_LARGEST_BETA = 0.3
_SINKS = {"float64": 26.0, "float32": 12.0}
_NATIVE = {"relu": ("linear", "relu"), "softmax": ("linear", "exp", "rbf", "softmax")}


@dataclass(frozen=True)
class Softmax:
    """Softmax attention as a target: how far it is from linear.

    Args:
        beta: The largest `b |s|`; None chooses it from the tolerance and the precision.
        sink: The sink's logit `c`; None chooses it from the precision.
        order: 2 for pairs of heads, whose error falls with `beta^2`; 4 for two pairs, `beta^4`.

    Raises:
        ValueError: If one of them is out of range.

    Example:
        >>> Softmax(beta=1e-3).settled(tolerance=1e-6, dtype="float64")
        Softmax(beta=0.001, sink=26.0, order=2)
    """

    beta: float | None = None
    sink: float | None = None
    order: Literal[2, 4] = 2

    def __post_init__(self):
        for name, value in (("beta", self.beta), ("sink", self.sink)):
            if value is not None and not 0 < value < np.inf:
                raise ValueError(f"{name} must be positive and finite; got {value}.")
        if self.order not in (2, 4):
            raise ValueError(f"order must be 2 or 4; got {self.order}.")

    def settled(self, *, tolerance: float, dtype: str) -> "Softmax":
        """The same with every choice made: the largest beta that meets the tolerance.

        Below `(3 ulp)^(1/3)` rounding grows faster than the error falls, so beta stays above.
        """
        sink = _SINKS[dtype] if self.sink is None else self.sink
        ulp = float(np.spacing(np.asarray(sink, dtype)))
        if self.order == 2:
            wanted, least = (3.0 * tolerance) ** 0.5, (3.0 * ulp) ** (1 / 3)
        else:
            wanted, least = (15.0 * tolerance) ** 0.25, (15.0 * ulp) ** (1 / 5)
        beta = min(max(wanted, least), _LARGEST_BETA) if self.beta is None else self.beta
        return Softmax(beta, sink, self.order)

    def error(self, dtype: str) -> float:
        """The largest error of a score, relative to the largest score; of settled choices."""
        assert self.beta is not None and self.sink is not None
        ulp = float(np.spacing(np.asarray(2.0 * self.sink, dtype)))
        series, heads = (self.beta**2 / 6, 1) if self.order == 2 else (self.beta**4 / 30, 2)
        return 1.02 * series + 4.0 * float(np.exp(-self.sink)) + 4.0 * heads * ulp / self.beta

    def score_error(
        self,
        scores: np.ndarray,
        dots: np.ndarray,
        largest: float,
        keys: int,
        dtype: str,
        kernel: str,
    ) -> np.ndarray:
        """A bound on the error of scores on a prompt, which may be larger than on the sample.

        Args:
            scores: What a head's scores are.
            dots: Bounds on `|<q, k>|`.
            largest: The scale that the head was made for.
            keys: How many keys a bare sum over the context has; 1 for a mean.
            dtype: The precision.
            kernel: `linear` or `exp`.

        Returns:
            One for each score; infinite where the head is far beyond its scale.
        """
        assert self.beta is not None and self.sink is not None
        over = max(1.0, float(dots.max(initial=0.0)) / largest)
        taken = 4.0 * keys * float(np.exp(-self.sink))
        if kernel == "exp":
            beyond = largest * (over - 1.0)
            ulp = float(np.spacing(np.asarray(2.0 * (self.sink + largest * over), dtype)))
            relative = taken * float(np.exp(min(beyond, 700.0))) + 8.0 * ulp
            return scores * relative if relative < 0.1 else np.full_like(scores, np.inf)
        if over * self.beta > 0.5:
            return np.full_like(scores, np.inf)
        relative = self.error(dtype) * over ** (self.order + 1) + taken * over**2
        return np.full_like(scores, largest * relative)


def unsupported(operations: Sequence[Operation], attention: str) -> list[Refusal]:
    """Kernels of `il.attend` that this kind of attention has no heads for."""
    found = []
    for operation in operations:
        if isinstance(operation, Head) and operation.kernel.name not in _NATIVE[attention]:
            found.append(
                Refusal(
                    f"attend with the {operation.kernel.name} kernel",
                    operation.out.source,
                    f"{attention} attention has no heads that compute it.",
                    "Compile with `attention='linear'`, which adds heads of that kernel, or use "
                    f"a kernel among {', '.join(_NATIVE[attention])}.",
                )
            )
    return found


def by_exponentials(program: Program, flags: Flags) -> Program:
    """Every RBF head as an exponential one, with the squared lengths of queries and keys."""
    made: list[Operation] = []
    squares: dict[tuple, Atom] = {}

    def half_square(form: Form, width: float, source: str) -> Form:
        identity = form.key
        if identity not in squares:
            squares[identity] = Atom("square", form.tokens, form.size, source=source)
            made.append(Product(squares[identity], form, form))
        return Form.of(squares[identity]).mapped(matrix([[-0.5 / width**2] * form.size]))

    for operation in program.operations:
        if isinstance(operation, Head) and operation.kernel.name == "rbf":
            width, source = operation.kernel.bandwidth, operation.out.source
            query, key = operation.query, operation.key
            lengths = [half_square(form, width, source) for form in (query, key)]
            query = Form.stack(
                [query.scaled(width**-2), lengths[0], flags.constant(query.tokens, [1.0])]
            )
            key = Form.stack([key, flags.constant(key.tokens, [1.0]), lengths[1]])
            operation = replace(operation, query=query, key=key, kernel=Kernel("exp"))
        made.append(operation)
    return replace(program, operations=tuple(made))


def scaled_heads(program: Program, sizes: Mapping[Atom, tuple[float, ...]]) -> Program:
    """The program with heads that know their largest score."""
    operations = tuple(
        replace(o, largest=sizes[o.out][0]) if isinstance(o, Head) and o.out in sizes else o
        for o in program.operations
    )
    return replace(program, operations=operations)


def by_relu(plan: Schedule) -> Schedule:
    """Every linear head as two ReLU heads."""
    return _each(plan, _relu_pair)


def by_softmax(plan: Schedule, kind: Softmax, flags: Flags, sink: Atom, n: int) -> Schedule:
    """Every linear or exponential head as softmax heads that see the sink.

    Args:
        plan: A schedule.
        kind: The settled choices.
        flags: Where constants are.
        sink: The sink's atom, `[1, log n]` in the sink and zero elsewhere.
        n: How many context tokens the sink of a bare sum should outweigh.
    """
    assert kind.beta is not None and kind.sink is not None
    beta, least = kind.beta, kind.sink

    def heads(item: Wired) -> list[Wired]:
        head = item.operation
        assert isinstance(head, Head)
        if head.kernel.name == "softmax":
            return [item]
        keys = flags.registers if head.key.tokens == "register" else n
        logit = least + (0.0 if head.mean else float(np.log(keys)))
        if head.kernel.name == "exp":
            return [_seeing_sink(item, 1.0, logit + head.largest, 1.0, flags, sink, "")]
        b = beta / head.largest
        weights = {b: 1.0} if kind.order == 2 else {b: 4.0 / 3.0, 2.0 * b: -1.0 / 3.0}
        return [
            _seeing_sink(item, sign * at, logit, sign * share / (2.0 * at), flags, sink, words)
            for at, share in weights.items()
            for sign, words in ((1.0, "plus"), (-1.0, "minus"))
        ]

    return _each(plan, heads)


def _each(plan: Schedule, change: Callable[[Wired], list[Wired]]) -> Schedule:
    times = tuple(
        tuple(
            new
            for item in row
            for new in (change(item) if isinstance(item.operation, Head) else [item])
        )
        for row in plan.times
    )
    return replace(plan, times=times)


def _relu_pair(item: Wired) -> list[Wired]:
    head = item.operation
    assert isinstance(head, Head)
    if head.kernel.name != "linear":
        return [item]
    made = []
    for sign, words in ((1.0, "plus"), (-1.0, "minus")):
        half = replace(
            head,
            query=head.query.scaled(sign),
            kernel=Kernel("relu"),
            computes=f"{head.computes} ({words})",
        )
        targets = tuple((atom, matrix(sign * weights)) for atom, weights in item.targets)
        made.append(replace(item, operation=half, targets=targets))
    return made


def _seeing_sink(
    item: Wired, b: float, logit: float, share: float, flags: Flags, sink: Atom, words: str
) -> Wired:
    """A softmax head with logits `b s` and a sink, whose result counts `share e^logit` times."""
    head = item.operation
    assert isinstance(head, Head)
    seen = matrix([[logit, float(head.mean)]])
    together = replace(
        head,
        query=Form.stack([head.query.scaled(b), flags.constant(head.query.tokens, [1.0])]),
        key=Form.stack([head.key, Form(head.key.tokens, 1, {sink: seen})]),
        kernel=Kernel("softmax"),
        mean=False,
        computes=f"{head.computes} ({words})" if words else head.computes,
        sink=True,
    )
    amount = share * float(np.exp(logit))
    targets = tuple((atom, matrix(amount * weights)) for atom, weights in item.targets)
    return replace(item, operation=together, targets=targets)
