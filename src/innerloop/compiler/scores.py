r"""How large the scores of heads become, measured: schedules run on a sample prompt.

Softmax heads stand for linear ones as long as scores are small, so each must know how large its
scores can be. Here half-layers run one after the other on named vectors, with no coordinate and no
padding in sight.
Axes: `t` data tokens, `n` of which are context; `R` registers.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from innerloop.compiler.calibrate import sampled
from innerloop.compiler.forms import Atom, Form
from innerloop.compiler.graph import Head
from innerloop.compiler.neurons import Neurons
from innerloop.compiler.programs import Programs
from innerloop.compiler.schedule import Schedule
from innerloop.compiler.wiring import Wired
from innerloop.prompts import Prompt


def largest_scores(
    plans: Sequence[Schedule], programs: Programs, like: Prompt, steps: int
) -> dict[Wired, float]:
    """The largest absolute score of each head, over all steps on a sample prompt.

    Args:
        plans: The schedules of the blocks: the initialisation's if it has one, the step's if there
            are steps, the read-out's.
        programs: What they were made from.
        like: The sample of the domain.
        steps: How many steps to follow.
    """
    walk = _Walk(programs, sampled(like))
    if len(plans) == 1 + (steps > 0):
        walk.begin()
    else:
        walk.through(plans[0])
    for _ in range(steps):
        walk.through(plans[-2])
    walk.through(plans[-1])
    return walk.scores


class _Walk:
    """The residual stream as named vectors."""

    def __init__(self, programs: Programs, prompt: Prompt):
        state, flags = programs.state, programs.state.flags
        self.programs, self.n = programs, prompt.n
        self.scores: dict[Wired, float] = {}
        x = np.concatenate([np.asarray(prompt.x), np.asarray(prompt.xq)]).astype(float)
        y = np.zeros((len(x), prompt.p))
        y[: prompt.n] = prompt.y
        self.tokens = {"data": len(x), "register": flags.registers}
        self.lasting: dict[Atom, np.ndarray] = {
            state.x: x,
            state.y: y,
            flags.one: np.ones((len(x), 1)),
            flags.name: np.eye(flags.registers),
        }
        for atom in (*state.atoms, *programs.clocks):
            self.lasting[atom] = np.zeros((self.tokens[atom.tokens], atom.size))
        self.values = dict(self.lasting)

    def begin(self) -> None:
        """The state before the first step, where it takes no layer to compute."""
        written = {atom: self._read(form) for atom, form in self.programs.init.writes.items()}
        self.values.update(written)

    def through(self, plan: Schedule) -> None:
        """Runs a block; what it does not hand on is forgotten."""
        for half_layer in plan.times:
            added = [
                (atom, result @ weights.T)
                for item in half_layer
                for result in [self._result(item)]
                for atom, weights in item.targets
            ]
            for atom, change in added:
                self.values[atom] = self.values.get(atom, 0.0) + change
        self.values = {atom: self.values[atom] for atom in self.lasting}

    def _read(self, form: Form) -> np.ndarray:
        total = np.zeros((self.tokens[form.tokens], form.size))
        for atom, weights in form.terms.items():
            total += self.values[atom] @ weights.T
        return total

    def _result(self, item: Wired) -> np.ndarray:
        operation = item.operation
        return (
            self._attended(item, operation)
            if isinstance(operation, Head)
            else self._fired(operation)
        )

    def _attended(self, item: Wired, head: Head) -> np.ndarray:
        query, key, value = (self._read(form) for form in head.reads)
        if head.key.tokens == "data":
            key, value = key[: self.n], value[: self.n]
        scores = np.asarray(head.kernel.scores(jnp.asarray(query), jnp.asarray(key)))
        dots = np.abs(query @ key.T) if head.kernel.name != "linear" else np.abs(scores)
        finite = dots[np.isfinite(dots)]
        self.scores[item] = max(self.scores.get(item, 0.0), float(finite.max(initial=0.0)))
        if head.kernel.normalised:
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            scores /= scores.sum(axis=-1, keepdims=True)
        return scores @ value / (self.n if head.mean else 1)

    def _fired(self, neurons: Neurons) -> np.ndarray:
        gate = 1.0 if neurons.gate is None else np.maximum(self._read(neurons.gate), 0.0)
        value = 1.0 if neurons.value is None else self._read(neurons.value)
        return (gate * value) @ neurons.weights.T
