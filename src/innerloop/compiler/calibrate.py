r"""The domains of smooth functions, measured: the learner's operations run on sample prompts.

The interpreter below is the meaning of the intermediate language: what heads, functions, products
and gates compute, with no layer, no coordinate and no neuron in sight.
Axes: `t` data tokens, `n` of which are context; `R` registers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np

from innerloop.compiler.forms import Atom, Form
from innerloop.compiler.graph import Apply, Gate, Head, Operation, Product, Program
from innerloop.compiler.programs import Programs
from innerloop.prompts import Prompt

_MOST_TOKENS = 256


@dataclass
class Ranges:
    """The smallest and the largest value that each function's argument took.

    Args:
        found: By the atom that holds the function's value.
        in_context: The same without the queries, whose target is zero and never used.
        sizes: By the atom of a product, the largest absolute value of its two factors; by the atom
            of a gate, of its value; by the atom of a head, of the product of query and key.
    """

    found: dict[Atom, tuple[float, float]] = field(default_factory=dict)
    in_context: dict[Atom, tuple[float, float]] = field(default_factory=dict)
    sizes: dict[Atom, tuple[float, ...]] = field(default_factory=dict)

    def grow(self, atom: Atom, *values: np.ndarray) -> None:
        """Takes the factors of a product, or the value of a gate, into account."""
        largest = (float(np.abs(v[np.isfinite(v)]).max(initial=0.0)) for v in values)
        known = self.sizes.get(atom, (0.0,) * len(values))
        self.sizes[atom] = tuple(max(pair) for pair in zip(known, largest, strict=True))

    def widen(self, atom: Atom, values: np.ndarray, context: int | None) -> None:
        """Takes more values into account, the first `context` rows of which are no queries."""
        for ranges, rows in ((self.found, values), (self.in_context, values[:context])):
            finite = rows[np.isfinite(rows)]
            if finite.size:
                low, high = ranges.get(atom, (np.inf, -np.inf))
                ranges[atom] = min(low, float(finite.min())), max(high, float(finite.max()))


def token_values(programs: Programs, prompt: Prompt) -> dict[Atom, np.ndarray]:
    """What the tokens of a prompt hold before the first operation; the state is zero."""
    state, flags = programs.state, programs.state.flags
    x = np.concatenate([np.asarray(prompt.x), np.asarray(prompt.xq)]).astype(float)
    y = np.zeros((len(x), prompt.p))
    y[: prompt.n] = prompt.y
    tokens = {"data": len(x), "register": flags.registers}
    values: dict[Atom, np.ndarray] = {
        state.x: x,
        state.y: y,
        flags.one: np.ones((len(x), 1)),
        flags.name: np.eye(flags.registers),
    }
    for atom in (*state.atoms, *programs.clocks):
        values[atom] = np.zeros((tokens[atom.tokens], atom.size))
    return values


class Interpreter:
    """Runs programs on the tokens of a prompt.

    Args:
        programs: The three programs.
        prompt: Context and queries.
        ranges: Where the arguments of functions are recorded.
    """

    def __init__(self, programs: Programs, prompt: Prompt, ranges: Ranges):
        self.n, self.ranges = prompt.n, ranges
        self.tokens = {
            "data": prompt.n + prompt.m,
            "register": programs.state.flags.registers,
        }
        self.values = token_values(programs, prompt)

    def read(self, form: Form) -> np.ndarray:
        """The value of a form in each of its tokens."""
        total = np.zeros((self.tokens[form.tokens], form.size))
        for atom, weights in form.terms.items():
            total += self.values[atom] @ weights.T
        return total

    def run(self, program: Program) -> np.ndarray | None:
        """Runs a program once; returns its output in every data token, if it has one."""
        for operation in program.operations:
            self.values[operation.out] = self._computed(operation)
        updates = {state: self.read(form) for state, form in program.writes.items()}
        self.values.update(updates)
        return None if program.output is None else self.read(program.output)

    def _computed(self, operation: Operation) -> np.ndarray:
        match operation:
            case Head():
                return self._attended(operation)
            case Apply():
                base = self.read(operation.base)
                context = self.n if operation.base.tokens == "data" else None
                self.ranges.widen(operation.out, base[: operation.rows], context)
                with np.errstate(all="ignore"):
                    return np.nan_to_num(np.asarray(operation.function.evaluate(base), float))
            case Product():
                left, right = self.read(operation.left), self.read(operation.right)
                self.ranges.grow(operation.out, left, right)
                return left * right
            case Gate():
                value = self.read(operation.value)
                self.ranges.grow(operation.out, value)
                return np.where(self.read(operation.base) > operation.knot, value, 0.0)

    def _attended(self, head: Head) -> np.ndarray:
        query, key, value = (self.read(form) for form in head.reads)
        if head.key.tokens == "data":
            key, value = key[: self.n], value[: self.n]
        scores = dots = query @ key.T
        self.ranges.grow(head.out, dots)
        if head.kernel.name != "linear":
            scores = np.asarray(head.kernel.scores(jnp.asarray(query), jnp.asarray(key)))
        if head.kernel.normalised:
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            scores /= scores.sum(axis=-1, keepdims=True)
        return scores @ value / (self.n if head.mean else 1)


def sampled(prompt: Prompt) -> Prompt:
    """At most a few hundred tokens of a prompt, evenly spread."""
    take = np.linspace(0, prompt.n - 1, min(prompt.n, _MOST_TOKENS)).astype(int)
    ask = np.linspace(0, prompt.m - 1, min(prompt.m, _MOST_TOKENS)).astype(int)
    x, y, xq = (np.asarray(leaf) for leaf in (prompt.x, prompt.y, prompt.xq))
    return Prompt(x[take], y[take], xq[ask])


def calibrated(programs: Programs, prompts: Sequence[Prompt], steps: int) -> Ranges:
    """Runs all steps on each prompt and records the arguments of functions."""
    ranges = Ranges()
    for prompt in prompts:
        interpreter = Interpreter(programs, sampled(prompt), ranges)
        interpreter.run(programs.init)
        for _ in range(steps):
            interpreter.run(programs.step)
        interpreter.run(programs.read_out)
    return ranges
