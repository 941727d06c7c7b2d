r"""A bound on the distance between a transformer and its learner, carried through every operation.

Each atom holds a value, what the learner computes on one prompt, and a radius `r`, a bound on how
far the transformer's number may be from it. With `a` and `b` read from atoms,

    form       sum_k |A_k| r_k
    product    |a| r_b + r_a (|b| + r_b)                      and so for heads, score by score
    function   |s(a) - f(a)| + r_a max |s'| on [a - r_a, a + r_a]       (`s`: what neurons compute)
    gate       that of its value; the whole value where its base may be on the ramp

and every operation adds `k eps sum |a| |b|` for its rounding, `k` terms at a time, once for the
transformer and once for the learner's own. Nothing is sampled: a spline's error enters as the gap
at the very argument, so that the bound holds outside a spline's domain too, where it goes on as a
line.
Axes: `t` data tokens, `n` of which are context; `R` registers; `s` steps; `m`, `p`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from innerloop.compiler.calibrate import token_values
from innerloop.compiler.curves import Curve
from innerloop.compiler.emulated import Emulated
from innerloop.compiler.forms import Atom, Form
from innerloop.compiler.graph import Apply, Gate, Head, Operation, Product, Program
from innerloop.compiler.hinges import most_passed
from innerloop.compiler.programs import Programs
from innerloop.compiler.readings import (
    SATURATED,
    SPARE,
    Blame,
    Noise,
    Reading,
    Result,
    Shares,
    Weights,
    mapped,
    scaled,
    scores_of,
    times,
    together,
    total,
)
from innerloop.compiler.splines import Spline
from innerloop.prompts import Prompt

_UNBOUNDED = 1e100


@dataclass(frozen=True)
class Precision:
    """How the transformer computes.

    Args:
        dtype: Of its weights.
        ramp: The width of a gate's ramp.
        step_ramp: The width of the ramp of a jump whose value is needed.
    """

    dtype: str
    ramp: float
    step_ramp: float

    @property
    def spacing(self) -> float:
        """Of the numbers near one."""
        return float(np.finfo(self.dtype).eps)


@dataclass(frozen=True, eq=False)
class Bounds:
    """Predictions at the queries before each step and after the last, and how far off they may be.

    Args:
        predictions: Of the learner, `(steps + 1, m, p)`.
        radius: Of the same shape; infinite where nothing is known.
        largest: The operation that the largest radius at the end comes from.
    """

    predictions: np.ndarray
    radius: np.ndarray
    largest: str


class BoundInterpreter:
    """Runs programs on the tokens of a prompt, with a radius beside every value.

    Args:
        programs: The three programs.
        prompt: Context and queries.
        splines: What stands in for smooth functions.
        precision: How the transformer computes.
        symbols: How many deviations of the state are followed to first order.
        emulated: What stands for operations that the target lacks.
    """

    def __init__(
        self,
        programs: Programs,
        prompt: Prompt,
        splines: Mapping[Atom, Spline],
        precision: Precision,
        symbols: int = 0,
        emulated: Emulated = Emulated(),  # noqa: B008 (frozen)
    ):
        self.emulated = emulated
        self.symbols, self.noises = symbols, dict[Atom, np.ndarray]()
        self.n, self.clocks, self.precision = prompt.n, set(programs.clocks), precision
        self.spacing = precision.spacing
        self.splines, flags = splines, programs.state.flags
        self.states = list(programs.state.atoms)
        self.values = token_values(programs, prompt)
        self.rests = {atom: np.zeros_like(value) for atom, value in self.values.items()}
        if precision.dtype != "float64":
            for atom in (programs.state.x, programs.state.y):
                self.rests[atom] = precision.spacing * np.abs(self.values[atom])
        start = "rounding"
        self.blames: dict[Atom, Blame] = dict.fromkeys(self.values, (start, start))
        self.peaks = {"data": np.ones(prompt.n + prompt.m), "register": np.ones(flags.registers)}
        for atom, value in self.values.items():
            peak = self.peaks[atom.tokens]
            np.maximum(peak, np.abs(value).max(axis=1, initial=0.0), out=peak)
        self._curves: dict[Atom, Curve] = {}

    def run(self, program: Program) -> Reading | None:
        """Runs a program once; returns its output in every data token, if it has one."""
        for operation in program.operations:
            self._store(operation.out, self._computed(operation))
        updates = {state: self.read(form) for state, form in program.writes.items()}
        for state, new in updates.items():
            self._store(state, Result(new.value, new.rest, new.noise, new.size, new.blame))
            if state in self.clocks:
                self.rests[state] = np.zeros_like(new.rest)
        if self.symbols and updates:
            self._renew()
        return None if program.output is None else self.read(program.output)

    def read(self, form: Form) -> Reading:
        """A form in each of its tokens."""
        weights = Weights.of(form)
        rows = len(self.peaks[form.tokens])
        value, rest, size = (np.zeros((rows, form.size)) for _ in range(3))
        noise: Noise = None
        shares = []
        for atom, signed, plain in weights.terms:
            value += times(self.values[atom], signed)
            share = times(self.rests[atom], plain)
            rest += share
            size += times(np.abs(self.values[atom]), plain)
            if atom in self.noises:
                part = times(self.noises[atom], signed)
                noise, share = together(noise, part), share + total(part)
            shares.append((share, self.blames[atom]))
        rounding = self.spacing * weights.roundings * (size + rest + total(noise))
        kind = next(iter(form.terms), None)
        blame = ("nothing", "nothing") if kind is None else self._blamed(shares, kind)
        return Reading(value, rest + rounding, noise, size, weights.most, blame)

    def _store(self, atom: Atom, result: Result) -> None:
        """Keeps a result; adding it to the stream rounds it once more."""
        value, rest, noise, size, blame = result
        radius = rest + total(noise)
        known = np.isfinite(value) & (radius < _UNBOUNDED)
        peak = self.peaks[atom.tokens]
        reached = np.where(known, np.abs(value) + radius, 0.0).max(axis=1, initial=0.0)
        if atom.large:
            peak = np.maximum(peak, reached)
        else:
            np.maximum(peak, reached, out=peak)
        written = SPARE * self.spacing * peak[:, None] * (size > 0)
        self.values[atom] = np.nan_to_num(value)
        self.rests[atom] = np.where(known, rest + written, SATURATED)
        self.noises.pop(atom, None)
        if noise is not None:
            self.noises[atom] = np.where(known, noise, 0.0)
        self.blames[atom] = blame

    def _renew(self) -> None:
        """After a step, what is unexplained in the state becomes new symbols, as far as there are.

        The smallest of the old ones are given up for them, and are unexplained from then on.
        """
        states = self.states
        sizes = [self.values[state].size for state in states]
        ends = np.cumsum(sizes)
        rest = np.concatenate([self.rests[state].ravel() for state in states])
        old = next((len(self.noises[s]) for s in states if s in self.noises), 0)
        noise = np.zeros((old, len(rest)))
        for state, size, end in zip(states, sizes, ends, strict=True):
            if state in self.noises:
                noise[:, end - size : end] = self.noises[state].reshape(old, -1)
        candidates = np.flatnonzero((rest > 0) & (rest < _UNBOUNDED))
        chosen = candidates[np.argsort(rest[candidates])[::-1][: self.symbols // 2]]
        kept = np.argsort(np.abs(noise).sum(axis=1))[::-1][: self.symbols - len(chosen)]
        rest = rest + total(np.delete(noise, kept, axis=0))
        fresh = np.zeros((len(chosen), len(rest)))
        fresh[np.arange(len(chosen)), chosen] = rest[chosen]
        rest[chosen] = 0.0
        noise = np.concatenate([noise[kept], fresh])
        self.noises = {}
        for state, size, end in zip(states, sizes, ends, strict=True):
            shape = self.values[state].shape
            self.rests[state] = rest[end - size : end].reshape(shape)
            if len(noise):
                self.noises[state] = noise[:, end - size : end].reshape(len(noise), *shape)

    def _computed(self, operation: Operation) -> Result:
        match operation:
            case Head():
                return self._attended(operation)
            case Apply():
                return self._applied(operation)
            case Product():
                return self._multiplied(operation)
            case Gate():
                return self._gated(operation)

    def _multiplied(self, product: Product) -> Result:
        left, right = self.read(product.left), self.read(product.right)
        from_left, from_right = left.radius * right.reach, np.abs(left.value) * right.radius
        size = left.reach * right.reach
        rounding = SPARE * self.spacing * size
        shares = [(from_left, left.blame), (from_right, right.blame), (rounding, _named(product))]
        noise = together(scaled(right.noise, left.value), scaled(left.noise, right.value))
        first = np.abs(left.value) * right.rest + left.rest * np.abs(right.value)
        rest = first + left.radius * right.radius + rounding
        if self.emulated.hinges:
            squares = self.emulated.squares(product.out)
            off = np.minimum(squares.off(left.reach, right.reach, self.spacing), SATURATED)
            shares.append((off, _named(product)))
            rest = rest + off
        blame = self._blamed(shares, product.out)
        return Result(left.value * right.value, rest, noise, size, blame)

    def _gated(self, gate: Gate) -> Result:
        base, value = self.read(gate.base), self.read(gate.value)
        knot, spacing = gate.knot, self.spacing
        width = max(self.precision.ramp, 8.0 * spacing * abs(knot))
        written = SPARE * self.peaks[gate.base.tokens][:, None] * (base.size > 0)
        places = (base.terms + SPARE) * (base.size + abs(knot) * (base.size > 0)) + written
        margin = base.radius + spacing * places
        closed = base.value + margin <= knot
        opened = base.value - margin >= knot + width
        kept = np.where(base.value > knot, value.value, 0.0)
        lost = np.where(closed | opened, 0.0, np.abs(value.value))
        passed = np.where(closed, self._leaked(gate, value), value.radius)
        blame = self._blamed([(passed, value.blame), (lost, _named(gate))], gate.out)
        rest = np.where(opened, value.rest, passed + lost)
        noise = scaled(value.noise, opened)
        return Result(kept, rest, noise, np.where(closed, 0.0, value.size), blame)

    def _leaked(self, gate: Gate, value: Reading) -> np.ndarray | float:
        """What a closed gate of hinges lets through where its value is beyond all bounds."""
        if not self.emulated.hinges:
            return 0.0
        return np.maximum(0.0, value.reach - most_passed(self.emulated.sizes[gate.out][0]))

    def _applied(self, apply: Apply) -> Result:
        if apply.out not in self._curves:
            spline = self.splines.get(apply.out)
            self._curves[apply.out] = Curve.of(apply.function, spline, self.precision.step_ramp)
        curve = self._curves[apply.out]
        base = self.read(apply.base)
        truth = np.asarray(apply.function.evaluate(base.value), float)
        neurons = curve.value(base.value)
        if apply.rows is not None:
            truth[apply.rows :] = neurons[apply.rows :]
        r = np.minimum(base.radius, _UNBOUNDED)
        gap = np.abs(neurons - truth)
        spread = curve.spread(base.value, r)
        rounding = curve.rounding(base.value, r, base.size, base.terms)
        if apply.out in self.splines:
            rounding = rounding + SPARE * np.maximum(1.0, np.abs(neurons))
        own = gap + self.spacing * rounding
        blame = self._blamed([(own, _named(apply)), (spread, base.blame)], apply.out)
        finite = np.isfinite(truth)
        noise = None
        if base.noise is not None and not curve.jumps:
            slope, bend = curve.tangent(base.value, r)
            curved = np.abs(slope) * base.rest + bend * r
            straight = finite & (np.abs(slope) * total(base.noise) + curved < 2.0 * spread)
            noise = scaled(base.noise, np.where(straight, slope, 0.0))
            spread = np.where(straight, curved, spread)
        rest = np.where(finite, own + spread, SATURATED)
        return Result(np.where(finite, truth, neurons), rest, noise, rounding, blame)

    def _attended(self, head: Head) -> Result:
        query, key, value = (self.read(form) for form in head.reads)
        if head.key.tokens == "data":
            key, value = key.rows(self.n), value.rows(self.n)
        spacing, count = self.spacing, len(key.value)
        dots = query.value @ key.value.T
        by_query = query.radius @ key.reach.T
        by_key = np.abs(query.value) @ key.radius.T
        rounding = spacing * (2 * query.value.shape[1] + SPARE) * (query.reach @ key.reach.T)
        noise: Noise = None
        if head.kernel.name == "linear":
            noise = together(
                mapped(query.noise, lambda q: q @ key.value.T),
                mapped(key.noise, lambda k: query.value @ np.swapaxes(k, 1, 2)),
            )
            first = np.abs(query.value) @ key.rest.T + query.rest @ np.abs(key.value).T
            scores, rest = dots, first + query.radius @ key.radius.T + rounding
        else:
            off = by_query + by_key + rounding
            scores, rest = scores_of(head.kernel, dots, off, query, key, spacing)
        if self.emulated.softmax is not None and not head.kernel.normalised:
            largest = self.emulated.sizes[head.out][0]
            keys = 1 if head.mean or head.key.tokens == "register" else self.n
            reach = np.abs(dots) + by_query + by_key + rounding
            rest = rest + self.emulated.softmax.score_error(
                np.abs(scores), reach, largest, keys, self.precision.dtype, head.kernel.name
            )
        weights, off = np.abs(scores), rest + total(noise)
        reached = (weights + off) @ value.reach
        rounded = (2 * count + SPARE) * spacing * reached
        score_blame = query.blame if by_query.max() >= by_key.max() else key.blame
        by_score, by_value = off @ value.reach, weights @ value.radius
        shares = [(by_score, score_blame), (by_value, value.blame), (rounded, _named(head))]
        blame = self._blamed(shares, head.out)
        first = weights @ value.rest + rest @ np.abs(value.value)
        share = 1.0 / self.n if head.mean else 1.0
        mixed = together(
            mapped(noise, lambda s: s @ value.value), mapped(value.noise, lambda v: scores @ v)
        )
        rest = (first + off @ value.radius + rounded) * share
        return Result(
            scores @ value.value * share, rest, scaled(mixed, share), reached * share, blame
        )

    def _blamed(self, shares: Shares, atom: Atom) -> Blame:
        """Of the shares of a radius, whose is the largest: in the context, and in the queries."""
        if not shares:
            return "nothing", "nothing"
        start = self.n if atom.tokens == "data" else 0
        queries = max(shares, key=lambda share: share[0][start:].max(initial=0.0))[1][1]
        if not start:
            return queries, queries
        return max(shares, key=lambda share: share[0][:start].max(initial=0.0))[1][0], queries


def _named(operation: Operation) -> Blame:
    """An operation in words, in the context and in the queries alike."""
    name, source = operation.out.name, operation.out.source
    text = f"{name} at {source}" if source else name
    return text, text


def bounds_of(
    programs: Programs,
    prompt: Prompt,
    steps: int,
    splines: Mapping[Atom, Spline],
    precision: Precision,
    symbols: int = 0,
    emulated: Emulated = Emulated(),  # noqa: B008 (frozen)
    until: float = np.inf,
) -> Bounds:
    """Runs all steps on a prompt, reading predictions before each of them and after the last.

    Args:
        programs: The three programs.
        prompt: Context and queries.
        steps: How many steps.
        splines: What stands in for smooth functions.
        precision: How the transformer computes.
        symbols: How many deviations of the state are followed to first order.
        emulated: What stands for operations that the target lacks.
        until: Ends after a step whose bound is this many times the largest prediction.

    Returns:
        Predictions, and a bound on how far the transformer may be from each.
    """
    with np.errstate(all="ignore"):
        interpreter = BoundInterpreter(programs, prompt, splines, precision, symbols, emulated)
        interpreter.run(programs.init)
        outputs = [interpreter.run(programs.read_out)]
        for _ in range(steps):
            interpreter.run(programs.step)
            outputs.append(interpreter.run(programs.read_out))
            if _exceeds(outputs[-1], prompt.n, until):
                break
    found = [output for output in outputs if output is not None]
    radius = np.stack([output.radius[prompt.n :] for output in found])
    return Bounds(
        np.stack([output.value[prompt.n :] for output in found]),
        np.where(radius < _UNBOUNDED, radius, np.inf),
        found[-1].blame[1],
    )


def _exceeds(output: Reading | None, n: int, until: float) -> bool:
    """Whether the radius at the queries is too large beside the values there."""
    if output is None or until == np.inf:
        return False
    return not output.radius[n:].max() <= until * np.abs(output.value[n:]).max()
