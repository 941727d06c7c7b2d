"""The passes one by one, and what a schedule means: an interpreter that knows no coordinates."""

from dataclasses import dataclass

import jax
import numpy as np

from innerloop.compiler.allocate import Allocation, allocate, lasting
from innerloop.compiler.expansion import Expansion
from innerloop.compiler.forms import Atom
from innerloop.compiler.graph import Head, Program
from innerloop.compiler.programs import Programs, lower
from innerloop.compiler.schedule import Schedule, schedule
from innerloop.compiler.trace import trace
from innerloop.compiler.wiring import Wiring, wire


@dataclass(frozen=True)
class Passes:
    """What every pass made of one block."""

    program: Program
    wiring: Wiring
    schedule: Schedule
    allocation: Allocation


def programs_of(learner, prompt, steps=2) -> Programs:
    with jax.enable_x64(True):
        return lower(trace(learner, prompt), steps)


def passes_of(learner, prompt, steps=2) -> tuple[Programs, list[Passes]]:
    """A step and a read-out, pass by pass."""
    programs = programs_of(learner, prompt, steps)
    state = programs.state
    fixed = lasting(
        [state.flags.one, state.x, state.y, state.flags.name, *state.atoms, *programs.clocks]
    )
    made = []
    for program in (programs.step, programs.read_out):
        operations = Expansion(state.flags, 1e-12, 1e-6, 2.0**-52).expand(program.operations)
        wiring = wire(operations, program.writes, program.output, state.flags)
        plan = schedule(wiring)
        wipe = program.block == "step"
        made.append(Passes(program, wiring, plan, allocate(plan, program.block, fixed, wipe=wipe)))
    return programs, made


class Interpreter:
    """Runs a schedule on named vectors: `values[atom]` is `(t, size)`, zero in other tokens."""

    def __init__(self, values: dict[Atom, np.ndarray], kinds: np.ndarray, is_query: np.ndarray):
        self.values, self.kinds, self.is_query = dict(values), kinds, is_query
        self.n = int(((kinds == "data") & ~is_query).sum())

    def read(self, form) -> np.ndarray:
        """A form in every token, `(t, s)`."""
        total = np.zeros((len(self.kinds), form.size))
        for atom, weights in form.terms.items():
            empty = np.zeros((len(self.kinds), atom.size))
            total = total + self.values.get(atom, empty) @ weights.toarray().T
        return total

    def result(self, operation) -> np.ndarray:
        """What an operation adds to its targets, before their matrices."""
        if isinstance(operation, Head):
            query, key, value = (self.read(form) for form in operation.reads)
            read = (self.kinds == operation.key.tokens) & ~self.is_query
            written = self.kinds == operation.query.tokens
            scores = (query @ key.T) * read[None, :] * written[:, None]
            return scores @ value / (self.n if operation.mean else 1)
        hidden = np.ones((len(self.kinds), operation.count))
        if operation.gate is not None:
            hidden = hidden * np.maximum(self.read(operation.gate), 0.0)
        if operation.value is not None:
            hidden = hidden * self.read(operation.value)
        return hidden @ operation.weights.toarray().T

    def half_layer(self, row) -> None:
        """All operations of a half-layer read what was there before it."""
        added = [(item, self.result(item.operation)) for item in row]
        for item, result in added:
            for atom, weights in item.targets:
                empty = np.zeros((len(self.kinds), atom.size))
                before = self.values.get(atom, empty)
                self.values[atom] = before + result @ weights.toarray().T

    def run(self, plan: Schedule) -> None:
        for row in plan.times:
            self.half_layer(row)


def random_start(programs, rng, *, n=4, m=3):
    """Random state on random tokens: an interpreter before the first layer."""
    flags = programs.state.flags
    kinds = np.array(["data"] * (n + m) + ["register"] * flags.registers)
    is_query = (np.arange(len(kinds)) >= n) & (np.arange(len(kinds)) < n + m)
    values = {}
    for atom in (programs.state.x, programs.state.y, *programs.state.atoms):
        drawn = rng.normal(size=(len(kinds), atom.size)) / 2
        if atom.replicated:
            drawn[:] = drawn[:1]
        values[atom] = np.where((kinds == atom.tokens)[:, None], drawn, 0.0)
    values[programs.state.y][is_query] = 0.0
    values[flags.one] = (kinds == "data")[:, None].astype(float)
    values[flags.name] = np.zeros((len(kinds), flags.registers))
    values[flags.name][n + m :] = np.eye(flags.registers)
    for clock in programs.clocks:
        values[clock] = (kinds == clock.tokens)[:, None].astype(float)
    return Interpreter(values, kinds, is_query)
