r"""From a learner to jaxprs: what one token does, with the context axis named.

Axes: `d` covariates, `p` targets.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr
from jaxtyping import PyTree

from innerloop.compiler.lower.reduction import AXIS_SIZE
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
    """

    init: ClosedJaxpr
    step: ClosedJaxpr
    predict: ClosedJaxpr
    shared: tuple[Leaf, ...]
    local: tuple[Leaf, ...]
    d: int
    p: int


def trace(learner: Learner, like: Prompt) -> Traced:
    """Traces a learner on one token of a prompt, in float64.

    Raises:
        ValueError: If a step changes the structure or a shape of the state, or if a prediction is
            not a vector of the prompt's number of targets.
    """
    x, y = jnp.zeros(like.d, jnp.float64), jnp.zeros(like.p, jnp.float64)
    init, state = _traced(learner.init, x, y)
    shared, local = state
    step, after = _traced(learner.step, shared, local, x, y)
    before_shapes, after_shapes = _described(state), _described(after)
    if before_shapes != after_shapes:
        raise ValueError(
            "a step must return the state as it received it; "
            f"init gave {before_shapes}, a step gave {after_shapes}."
        )
    predict, prediction = _traced(learner.predict, shared, local, x)
    if getattr(prediction, "shape", None) != (like.p,):
        raise ValueError(
            f"predict must return one vector of shape ({like.p},), the prompt's number of targets; "
            f"it returned {_described(prediction)}."
        )
    return Traced(init, step, predict, _leaves(shared), _leaves(local), like.d, like.p)


def _traced(function: Callable, *arguments: PyTree) -> tuple[ClosedJaxpr, PyTree]:
    make = jax.make_jaxpr(function, axis_env=[(CONTEXT, AXIS_SIZE)], return_shape=True)
    return make(*arguments)


def _described(tree: PyTree) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): f"{v.dtype}{list(v.shape)}" for path, v in leaves}


def _leaves(tree: PyTree) -> tuple[Leaf, ...]:
    def name(path) -> str:
        keys = [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path]
        return ".".join(keys) or "state"

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return tuple(Leaf(name(path), tuple(value.shape)) for path, value in leaves)
