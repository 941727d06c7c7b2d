"""The passes one by one, and what a schedule means: an interpreter that knows no coordinates."""

from dataclasses import dataclass

import jax
import numpy as np

from innerloop.compiler.allocate import Allocation, allocate, lasting
from innerloop.compiler.compiled import Compiled
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


@np.errstate(all="ignore")
def dense_iterates(model: Compiled, prompt) -> np.ndarray:
    """Predictions after every step, by multiplying all weights in numpy; linear heads only."""
    x = np.concatenate([prompt.x, prompt.xq])
    y = np.zeros((len(x), prompt.p))
    y[: prompt.n] = prompt.y
    roles = np.repeat([0, 1, 2], [prompt.n, prompt.m, len(model.registers)])
    data = np.concatenate([x, y, np.ones((len(x), 1))], axis=1) @ model.embed.T
    stream = np.concatenate([data, model.registers])
    blocks = jax.tree.map(np.asarray, model.transformer.blocks)
    sections, order = model.sections, model.transformer.order
    step, last = sections.step, len(order) - sections.read_out

    def through(stream, layers):
        for layer in layers:
            for attention in blocks.attention:
                stream = stream + _attended(attention, layer, stream, roles)
            stream = stream + _rectified(blocks.mlp, layer, stream)
        return stream

    def read(stream):
        return through(stream, order[last:])[prompt.n : prompt.n + prompt.m] @ model.unembed.T

    stream = through(stream, order[: sections.init])
    predictions = [read(stream)]
    for k in range(model.steps):
        start = sections.init + k * step
        stream = through(stream, order[start : start + step])
        predictions.append(read(stream))
    return np.stack(predictions)


def _attended(attention, layer: int, stream: np.ndarray, roles: np.ndarray) -> np.ndarray:
    """What the linear heads of a layer add."""
    assert attention.kernel.name == "linear"
    added = np.zeros_like(stream)
    maps = attention.W_Q, attention.W_K, attention.W_V
    for h in range(attention.W_Q.shape[1]):
        query, key, value = (stream @ weights[layer, h].T for weights in maps)
        readers, sources = (w[layer, h][roles] for w in (attention.readers, attention.sources))
        scores = (query @ key.T) * (readers[:, None] & sources)
        total = scores @ value @ attention.W_O[layer, h].T
        added += total / (np.sum(roles == 0) if attention.averages[layer, h] else 1)
    return added


def _rectified(mlp, layer: int, stream: np.ndarray) -> np.ndarray:
    """What the ReGLU neurons of a layer add."""
    gate = np.maximum(stream @ mlp.W_gate[layer].T + mlp.b_gate[layer], 0.0)
    hidden = gate * (stream @ mlp.W_in[layer].T + mlp.b_in[layer])
    return hidden @ mlp.W_out[layer].T + mlp.b_out[layer]
