r"""From a learner to jaxprs: what one token does, with the context axis named.

Axes: `d` covariates, `p` targets.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr
from jaxtyping import PyTree

from innerloop.compiler.counts import AXIS_SIZE, OTHER_SIZE, Twins, twins_of
from innerloop.compiler.errors import CompileError, Refusal, Refused
from innerloop.learners import Learner
from innerloop.prompts import Prompt
from innerloop.tokens import CONTEXT


@dataclass(frozen=True)
class Leaf:
    """One array of the state: its name for the anatomy, and its shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Traced:
    """A learner's three programs, with flat inputs and outputs.

    Args:
        init: `x, y -> shared..., local...`
        step: `shared..., local..., x, y -> shared..., local...`
        predict: `shared..., local..., x -> prediction`
        shared: The leaves of the shared state.
        local: The leaves of the local state.
        d: Covariates.
        p: Targets.
        twins: The constants that depend on the number of context examples.
    """

    init: ClosedJaxpr
    step: ClosedJaxpr
    predict: ClosedJaxpr
    shared: tuple[Leaf, ...]
    local: tuple[Leaf, ...]
    d: int
    p: int
    twins: Twins = field(default_factory=dict)


def trace(learner: Learner, like: Prompt) -> Traced:
    """Traces a learner on one token of a prompt, in float64.

    Raises:
        CompileError: If shared state has more than two axes, or if the shapes or operations depend
            on the number of context examples.
        ValueError: If a step changes the structure or a shape of the state, or if a prediction is
            not a vector of the prompt's number of targets.
    """
    x, y = jnp.zeros(like.d, jnp.float64), jnp.zeros(like.p, jnp.float64)
    twins: Twins = {}
    init, state = _traced("init", learner.init, twins, x, y)
    shared, local = state
    _refuse_tensors(shared)
    step, after = _traced("step", learner.step, twins, shared, local, x, y)
    before_shapes, after_shapes = _described(state), _described(after)
    if before_shapes != after_shapes:
        raise ValueError(
            "a step must return the state as it received it; "
            f"init gave {before_shapes}, a step gave {after_shapes}."
        )
    predict, prediction = _traced("predict", learner.predict, twins, shared, local, x)
    if getattr(prediction, "shape", None) != (like.p,):
        raise ValueError(
            f"predict must return one vector of shape ({like.p},), the prompt's number of targets; "
            f"it returned {_described(prediction)}."
        )
    leaves = (_leaves(shared), _leaves(local))
    return Traced(init, step, predict, *leaves, like.d, like.p, twins)


def _traced(
    name: str, function: Callable, twins: Twins, *arguments: PyTree
) -> tuple[ClosedJaxpr, PyTree]:
    """One part of a learner; adds to `twins` what depends on the number of context examples."""
    traces = []
    for size in (AXIS_SIZE, OTHER_SIZE):
        make = jax.make_jaxpr(function, axis_env=[(CONTEXT, size)], return_shape=True)
        traces.append(make(*arguments))
    (closed, out), (other, _) = traces
    try:
        twins |= twins_of(closed, other)
    except Refused as refused:
        refusal = Refusal(name, refused.source, refused.reason, refused.instead)
        raise CompileError([refusal], len(closed.jaxpr.eqns)) from None
    return closed, out


def _refuse_tensors(shared: PyTree) -> None:
    """Shared state has a place on the registers as scalars, vectors and matrices."""
    leaves = jax.tree_util.tree_leaves_with_path(shared)
    refusals = [
        Refusal(
            "init",
            "",
            f"the shared state{jax.tree_util.keystr(path)} of shape {value.shape} has more than "
            "two axes; a register holds one row of a matrix.",
            "Keep it as several matrices, or reshaped to one.",
        )
        for path, value in leaves
        if value.ndim > 2
    ]
    if refusals:
        raise CompileError(refusals, len(leaves))


def _described(tree: PyTree) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): f"{v.dtype}{list(v.shape)}" for path, v in leaves}


def _leaves(tree: PyTree) -> tuple[Leaf, ...]:
    def name(path) -> str:
        keys = [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path]
        return ".".join(keys) or "state"

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return tuple(Leaf(name(path), tuple(value.shape)) for path, value in leaves)
