r"""The specialised runner: the same transformer, computed as sparsely as its weights are.

Context tokens, query tokens, registers and, where attention needs one, the sink are arrays of
columns. The plan is made once from the dense weights, whoever wrote them; a prompt of another size
is only traced again.
Axes: `n` context, `m` queries, `d` covariates, `p` targets, `R` registers, `r` residual width.
"""

import weakref
from collections.abc import Sequence
from functools import cached_property

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from innerloop.compiler.assemble import Ramps
from innerloop.compiler.forms import matrix
from innerloop.compiler.runner.execute import Stacks, pruned, through
from innerloop.compiler.runner.known import Known, touching
from innerloop.compiler.runner.plan import Plan, plan
from innerloop.compiler.runner.products import Block
from innerloop.compiler.runner.sparse import (
    SparseLayer,
    is_understood,
    patterns,
    sparse_layers,
)
from innerloop.compiler.runner.stack import Stack
from innerloop.models import Transformer
from innerloop.precision import is_traced
from innerloop.prompts import Prompt
from innerloop.tokens import ROLES

_PATTERNS = 32
"""Weights with coordinates of more kinds than this in one layer have no structure to exploit."""
_RUNNERS: dict[int, "Runner | None"] = {}


class Runner:
    """A compiled model, ready to run.

    Args:
        layers: The layers, in the order in which they are visited.
        embed: `W_E`, `(r, d + p + 1)`.
        registers: The register tokens at the start, `(R, r)`.
        sink: The sink is `sink[0] + log(n) sink[1]`; None if there is none.
        unembed: `W_U`, `(p, r)`.
        start: How many layers come before the steps.
        step: How many layers a step has.
        steps: How many steps there are.
    """

    def __init__(
        self,
        layers: Sequence[SparseLayer],
        embed: Float[Array | np.ndarray, "r inputs"],
        registers: Float[Array | np.ndarray, "registers r"],
        sink: Float[Array | np.ndarray, "2 r"] | None,
        unembed: Float[Array | np.ndarray, "p r"],
        start: int,
        step: int,
        steps: int,
    ):
        self.steps = steps
        self._embed, self._unembed = matrix(np.asarray(embed)), matrix(np.asarray(unembed))
        self._registers = np.asarray(registers).T
        self._sink = None if sink is None else np.asarray(sink)
        inputs, p = embed.shape[1], unembed.shape[0]
        one, label = np.zeros((inputs, 1)), np.arange(inputs - 1 - p, inputs - 1)
        one[-1] = 1.0
        given = np.arange(inputs) < inputs - 1
        in_queries = given & ~np.isin(np.arange(inputs), label)
        begin = [
            Known(one, given).mapped(self._embed),
            Known(one, in_queries).mapped(self._embed),
            Known(self._registers, np.zeros(len(self._registers), bool)),
        ]
        nothing = np.zeros(len(self._registers), bool)
        read = [nothing, touching(self._unembed, np.ones(p, bool)), nothing]
        if self._sink is not None:
            counts = self._sink[1] != 0.0
            begin.append(Known(np.where(counts, 0.0, self._sink[0])[:, None], counts))
            read.append(nothing)
        end = start + step * steps
        loop = layers[start : start + step] if steps else []
        self._plan: Plan = plan(
            layers[:start], loop, layers[end:], tuple(begin), tuple(read), str(embed.dtype)
        )
        self.predictions = jax.jit(self._predictions)
        self.iterates = jax.jit(self._iterates)

    def _predictions(self, prompt: Prompt) -> tuple[Float[Array, "m p"], Int[Array, "depth 2"]]:
        """Predictions at the queries, and ramps met and domains left, layer by layer."""
        stacks, before = self._begin(prompt)

        def body(carry: PyTree, _: object) -> tuple[PyTree, Int[Array, "layers 2"]]:
            after, counts = through(self._plan.step, self._state(stacks, carry), prompt.n)
            return self._carried(after), counts

        carry, during = jax.lax.scan(body, self._carried(stacks), length=self.steps)
        read, after = self._read(self._state(stacks, carry), prompt.n)
        during = during.reshape(-1, 2)
        return read, jnp.concatenate([before, during, after])

    def _iterates(self, prompt: Prompt) -> Float[Array, "s m p"]:
        """Predictions at the queries before each step and after the last."""
        stacks, _ = self._begin(prompt)

        def body(carry: PyTree, _: object) -> tuple[PyTree, Float[Array, "m p"]]:
            state = self._state(stacks, carry)
            after, _ = through(self._plan.step, state, prompt.n)
            return self._carried(after), self._read(state, prompt.n)[0]

        carry, predictions = jax.lax.scan(body, self._carried(stacks), length=self.steps)
        last, _ = self._read(self._state(stacks, carry), prompt.n)
        return jnp.concatenate([predictions, last[None]])

    def _begin(self, prompt: Prompt) -> tuple[Stacks, Int[Array, "layers 2"]]:
        """The residual stream before the first step."""
        dtype = prompt.dtype
        one = Stack.of_known(np.ones((1, 1), dtype), 1)
        d, p = prompt.d, prompt.p
        groups = []
        for x, y in ((prompt.x, prompt.y), (prompt.xq, None)):
            parts = [(np.arange(d), Stack.of_array(jnp.asarray(x, dtype).T)), (_after(d + p), one)]
            if y is not None:
                parts.append((np.arange(d, d + p), Stack.of_array(jnp.asarray(y, dtype).T)))
            inputs = Stack.of_parts(d + p + 1, len(x), parts, dtype)
            groups.append(inputs.mapped(self._embed))
        registers = self._registers
        groups.append(Stack.of_known(registers.astype(dtype), registers.shape[1]))
        if self._sink is not None:
            sees = self._sink[0] + np.log(prompt.n) * self._sink[1]
            groups.append(Stack.of_known(sees[:, None].astype(dtype), 1))
        return through(self._plan.start, tuple(groups), prompt.n)

    def _read(self, stacks: Stacks, n: int) -> tuple[Float[Array, "m p"], Int[Array, "layers 2"]]:
        stacks, counts = through(self._plan.read_out, stacks, n)
        return stacks[1].mapped(self._unembed).joined().T, counts

    @cached_property
    def _carries(self) -> list[np.ndarray]:
        return [np.flatnonzero(rows) for rows in self._plan.carried]

    def _carried(self, stacks: Stacks) -> list[Block]:
        """What a step hands on to the next."""
        return [
            stack.rows(rows).joined() for stack, rows in zip(stacks, self._carries, strict=True)
        ]

    def _state(self, start: Stacks, carry: Sequence[Block]) -> Stacks:
        """The residual stream between steps, from what they hand on and what none changes."""
        made = []
        for role, stack in enumerate(start):
            known, rows = self._plan.state[role], self._carries[role]
            still = np.flatnonzero(self._plan.kept[role] & ~self._plan.carried[role])
            fixed = np.flatnonzero(~known.varying)
            values = known.values[fixed].astype(stack.known.dtype)
            parts = [(still, stack.rows(still)), (fixed, Stack.of_known(values, stack.tokens))]
            if rows.size:
                parts.append((rows, Stack.of_array(carry[role])))
            whole = Stack.of_parts(stack.size, stack.tokens, parts, stack.known.dtype)
            made.append(pruned(whole, known, self._plan.kept[role]))
        return tuple(made)


def _after(place: int) -> np.ndarray:
    return np.asarray([place])


def runner_of(
    model: eqx.Module,
    transformer: Transformer,
    embed: Float[Array | np.ndarray, "r inputs"],
    registers: Float[Array | np.ndarray, "registers r"],
    sink: Float[Array | np.ndarray, "2 r"] | None,
    unembed: Float[Array | np.ndarray, "p r"],
    ramps: Ramps,
    start: int,
    step: int,
    steps: int,
) -> Runner | None:
    """The runner of a model, made once; None where only the dense weights will do.

    The weights are made read-only: a plan holds for the numbers that it was made from.

    Args:
        model: The model: its runner lives as long as it does.
        transformer: The weights.
        embed: As in `Runner`.
        registers: As in `Runner`.
        sink: As in `Runner`.
        unembed: As in `Runner`.
        ramps: By block of the bank, where jumps are not exact.
        start: As in `Runner`.
        step: As in `Runner`.
        steps: As in `Runner`.
    """
    weights = (transformer, embed, registers, sink, unembed, ramps)
    if is_traced(weights):
        return None
    if id(model) not in _RUNNERS:
        for leaf in jax.tree.leaves(weights):
            if isinstance(leaf, np.ndarray):
                leaf.flags.writeable = False
        roles = len(ROLES) - int(sink is None)
        layers = _layers(transformer, ramps, roles, start, step, steps)
        given = embed, registers, sink, unembed, start, step, steps
        _RUNNERS[id(model)] = None if layers is None else Runner(layers, *given)
        weakref.finalize(model, _RUNNERS.pop, id(model), None)
    return _RUNNERS[id(model)]


def _layers(
    transformer: Transformer, ramps: Ramps, roles: int, start: int, step: int, steps: int
) -> list[SparseLayer] | None:
    """The layers in their order, if the runner knows their form and it is worth knowing."""
    blocks, order = transformer.blocks, np.asarray(transformer.order)
    if not is_understood(blocks):
        return None
    runs = order[start : start + step * steps].reshape(steps, step)
    bank = sparse_layers(blocks, ramps, roles)
    if (runs != runs[:1]).any() or any(patterns(layer) > _PATTERNS for layer in bank):
        return None
    return [bank[block] for block in order]
