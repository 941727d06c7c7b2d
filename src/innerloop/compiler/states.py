r"""The state between steps: which of it no prompt can change, and where the rest is stored.

A step counter or a decayed learning rate is followed through all steps at compile time. Every other
leaf gets an atom: a shared matrix keeps a row a register, a shared vector an entry a register, a
shared scalar a copy on each register, and local state a vector in each data token.
Axes: `steps` how often a step runs, `R` registers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from innerloop.compiler.forms import Atom, Form, eye, selection
from innerloop.compiler.graph import Flags, Graph
from innerloop.compiler.lower import Lowering, step_values
from innerloop.compiler.lower.shared import Context
from innerloop.compiler.trace import Leaf, Traced
from innerloop.compiler.values import (
    Local,
    Shared,
    Static,
    Term,
    Unknown,
    Value,
    canonical,
    is_counted,
    size,
)


@dataclass(frozen=True)
class State:
    """Where the state is.

    Args:
        shared: An atom for each shared leaf, or its values over the steps if no prompt changes it.
        local: An atom for each local leaf.
        x: The covariates of a data token.
        y: Its target; zero in queries.
        flags: What tells tokens apart.
    """

    shared: tuple[Atom | np.ndarray, ...]
    local: tuple[Atom, ...]
    x: Atom
    y: Atom
    flags: Flags

    def values(self, leaves: Sequence[Leaf], *, after: bool = False) -> list[Value]:
        """The state as the inputs of a program that runs before each step, or `after` it too."""
        inputs: list[Value] = []
        for leaf, stored in zip(leaves, (*self.shared, *self.local), strict=True):
            if isinstance(stored, np.ndarray):
                inputs.append(step_values(stored if after or len(stored) == 1 else stored[:-1]))
            elif stored.tokens == "data":
                inputs.append(Local(Form.of(stored), leaf.shape))
            else:
                inputs.append(stored_matrix(stored, leaf.shape, self.flags))
        return inputs

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """Every stored atom of the state."""
        return (*(a for a in self.shared if isinstance(a, Atom)), *self.local)


def stored_matrix(atom: Atom, shape: tuple[int, ...], flags: Flags) -> Shared:
    """A shared leaf as it stands on the registers."""
    a, b = canonical(shape)
    left = selection(np.arange(a), flags.registers)
    return Shared((Term(left, atom, eye(b)),), shape)


def place_state(
    traced: Traced, start: Sequence[Value], steps: int, flags: Flags, x: Atom, y: Atom
) -> State:
    """Gives every leaf its place.

    Args:
        traced: The learner.
        start: The shared state before the first step.
        steps: How often a step runs.
        flags: The flag atoms.
        x: The covariates of a data token.
        y: Its target.
    """
    followed = _followed(traced, start, steps)
    shared: list[Atom | np.ndarray] = []
    for leaf, values in zip(traced.shared, followed, strict=True):
        if values is not None:
            shared.append(values)
            continue
        a, b = canonical(leaf.shape)
        shared.append(Atom(leaf.name, "register", b, replicated=(a, b) == (1, 1)))
    local = tuple(Atom(leaf.name, "data", size(leaf.shape)) for leaf in traced.local)
    return State(tuple(shared), local, x, y, flags)


def _followed(traced: Traced, start: Sequence[Value], steps: int) -> list[np.ndarray | None]:
    """The values of each leaf that no prompt changes, before every step and after the last."""
    count = len(traced.shared)
    rest: list[Value] = [Unknown() for _ in traced.step.jaxpr.invars[count:]]

    def after(state: list[Value]) -> list[Value]:
        lowering = Lowering(Context(Graph(Flags(1)), steps), traced.twins)
        return lowering.run(traced.step, [*state, *rest])[:count]

    known = [isinstance(value, Static) and not is_counted(value) for value in start]
    while True:
        state = [v if ok else Unknown() for v, ok in zip(start, known, strict=True)]
        kept = [
            ok and isinstance(v, Static) and not is_counted(v)
            for ok, v in zip(known, after(state), strict=True)
        ]
        if kept == known:
            break
        known = kept
    history = [state]
    for _ in range(steps):
        history.append(after(history[-1]))
    columns: list[list[Value]] = [[row[k] for row in history] for k in range(count)]
    return [_followable(column) if ok else None for ok, column in zip(known, columns, strict=True)]


def _followable(column: list[Value]) -> np.ndarray | None:
    """A leaf's values over the steps; None if they change by a rule of their own for each entry."""
    table = np.stack([value.array for value in column if isinstance(value, Static)])
    flat = table.reshape(len(table), -1)
    changes = (table != table[:1]).any()
    uniform = np.array_equal(flat, np.broadcast_to(flat[:, :1], flat.shape), equal_nan=True)
    return None if changes and not uniform else table
