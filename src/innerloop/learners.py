r"""A learner: one token's code of a data-parallel training loop, and how to run it on a prompt.

    init(x, y) -> (shared, local)        step(shared, local, x, y) -> (shared, local)
    predict(shared, local, x) -> (p,)

`shared` is the same in every token and changes only through reductions over `CONTEXT`; `local`
belongs to the token and exists for queries too, whose target is zero and unread.
Axes: `n` context examples, `m` queries, `t` tokens, `d` covariates, `p` targets.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from innerloop.collectives import evaluate_masked
from innerloop.precision import in_precision
from innerloop.prompts import Prompt
from innerloop.tokens import CONTEXT, data_tokens


class Learner(NamedTuple):
    """A learning algorithm, written for one token.

    Args:
        init: `(x, y) -> (shared, local)`, the state before the first step.
        step: `(shared, local, x, y) -> (shared, local)`, one step; tokens communicate only by
            `jax.lax.pmean` / `psum` over `CONTEXT` and by `attend`.
        predict: `(shared, local, x) -> (p,)`, the prediction of this token.
    """

    init: Callable[[Array, Array], tuple[PyTree, PyTree]]
    step: Callable[[PyTree, PyTree, Array, Array], tuple[PyTree, PyTree]]
    predict: Callable[[PyTree, PyTree, Array], Array]


class Training(NamedTuple):
    """The shared state of a network in training."""

    params: PyTree
    optimizer: PyTree


def squared_error(prediction: Float[Array, " p"], y: Float[Array, " p"]) -> Float[Array, ""]:
    r"""Half the squared error of one example, `0.5 sum_k (prediction_k - y_k)^2`.

    Example:
        >>> import jax.numpy as jnp
        >>> float(squared_error(jnp.array([1.0, 4.0]), jnp.array([1.0, 1.0])))
        4.5
    """
    return 0.5 * jnp.sum((prediction - y) ** 2)


def learner(
    apply: Callable[[PyTree, Array], Array],
    params: PyTree,
    *,
    optimizer: optax.GradientTransformation,
    loss: Callable[[Array, Array], Array] = squared_error,
) -> Learner:
    r"""Gradient-based training of a network on the context, as a learner.

    Each step takes the gradient of the mean loss over the context,
    `g = (1/n) sum_i grad loss(apply(params, x_i), y_i)`, and gives it to `optimizer`.

    Args:
        apply: `(params, x) -> (p,)`, the network for one example.
        params: Its initial parameters, any pytree of arrays of rank 0 to 2.
        optimizer: An optax optimiser.
        loss: `(prediction, y) -> scalar`, the loss of one example; default `squared_error`.

    Returns:
        The learner. Its parameters take the precision of the data it is given.

    Raises:
        ValueError: If a parameter is not a floating-point array of rank 0 to 2.

    Example:
        >>> import numpy as np, optax
        >>> line = learner(lambda w, x: w @ x, np.zeros((1, 2)), optimizer=optax.sgd(0.5))
        >>> prompt = Prompt([[1.0, 0.0]], [[1.0]], [[1.0, 0.0]])
        >>> run(line, prompt, steps=2)[:, 0, 0].tolist()
        [0.0, 0.5, 0.75]
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating) or jnp.ndim(leaf) > 2:
            raise ValueError(
                "params must be floating-point arrays of rank 0 to 2; the leaf at "
                f"{jax.tree_util.keystr(path) or 'the root'} is {jnp.result_type(leaf)} of shape "
                f"{jnp.shape(leaf)}. Keep integers and settings in a closure, and write a tensor "
                "of higher rank as matrices."
            )

    def init(x, y):
        del y
        weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, x.dtype), params)
        return Training(weights, optimizer.init(weights)), ()

    def step(shared, local, x, y):
        weights, state = shared
        gradients = jax.grad(lambda w: loss(apply(w, x), y))(weights)
        gradients = jax.lax.pmean(gradients, CONTEXT)
        updates, state = optimizer.update(gradients, state, weights)
        return Training(optax.apply_updates(weights, updates), state), local

    def predict(shared, local, x):
        del local
        return apply(shared[0], x)

    return Learner(init, step, predict)


def run(learner: Learner, prompt: Prompt, *, steps: int) -> Float[Array | np.ndarray, "s m p"]:
    """Runs a learner on a prompt: its predictions at the queries after 0, 1, ..., `steps` steps.

    Args:
        learner: The learning algorithm.
        prompt: Context and queries; the computation has the prompt's precision.
        steps: How many steps to take.

    Returns:
        Predictions `(steps + 1, m, p)`; numpy where the prompt holds numpy arrays.

    Raises:
        ValueError: If `steps` is negative, if shared state depends on a single token, or if the
            learner does not keep its state's structure.
    """
    if steps < 0:
        raise ValueError(f"steps must be at least 0; got {steps}.")
    return in_precision(lambda prompt: _run(learner, prompt, steps), prompt.dtype, prompt)


def _run(learner: Learner, prompt: Prompt, steps: int) -> Float[Array, "s m p"]:
    x, y, is_context = data_tokens(prompt)

    def over_tokens(function: Callable, shared_axes: tuple) -> Callable:
        """Maps one token's code over all tokens, with queries out of every reduction."""

        def token(is_context, *arguments):
            closed, out = jax.make_jaxpr(
                function, axis_env=[(CONTEXT, prompt.n)], return_shape=True
            )(*arguments)
            _check_output(learner, function, arguments, out)
            leaves = evaluate_masked(closed, jax.tree.leaves(arguments), is_context)
            return jax.tree.unflatten(jax.tree.structure(out), leaves)

        out_axes = 0 if function is learner.predict else (None, 0)
        mapped = jax.vmap(token, in_axes=(0, *shared_axes), out_axes=out_axes, axis_name=CONTEXT)
        return lambda *arguments: mapped(jnp.asarray(is_context), *arguments)

    def guarded(function: Callable, *arguments):
        try:
            return function(*arguments)
        except ValueError as error:
            if "out_axes" not in str(error):
                raise
            raise ValueError(
                "the learner's shared state depends on a single token. What is shared may change "
                "only through reductions: use jax.lax.pmean(value, il.CONTEXT) or "
                "psum, or return the value as local state."
            ) from error

    init = over_tokens(learner.init, (0, 0))
    step = over_tokens(learner.step, (None, 0, 0, 0))
    predict = over_tokens(learner.predict, (None, 0, 0))

    def body(state, _):
        return guarded(step, *state, x, y), predict(*state, x)[prompt.n :]

    start = guarded(init, x, y)
    state, predictions = jax.lax.scan(body, start, length=steps)
    return jnp.concatenate([predictions, predict(*state, x)[None, prompt.n :]])


def _check_output(learner: Learner, function: Callable, arguments: tuple, out: PyTree) -> None:
    """Refuses a learner whose code does not return what the loop hands on; shapes only."""
    if function is learner.predict:
        if getattr(out, "ndim", None) != 1:
            raise ValueError(
                "a learner's `predict` must return a vector (p,), one token's prediction; got "
                f"{out if not hasattr(out, 'shape') else f'an array of shape {out.shape}'}. "
                "Write a single target as value[None]."
            )
        return
    name = "init" if function is learner.init else "step"
    if type(out) is not tuple or len(out) != 2:
        raise ValueError(
            f"a learner's `{name}` must return a pair (shared, local), with () for the part that "
            f"it does not need; got {jax.tree.structure(out)}."
        )
    if function is learner.step:
        _check_state(arguments[:2], out)


def _check_state(before: PyTree, after: PyTree) -> None:
    """Refuses a step that changes the structure, the shapes or the precision of the state."""
    if jax.tree.structure(before) != jax.tree.structure(after):
        raise ValueError(
            "a learner's `step` must return state of the structure it was given; it was given "
            f"{jax.tree.structure(before)} and returned {jax.tree.structure(after)}."
        )
    pairs = zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True)
    for (path, old), new in pairs:
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise ValueError(
                "a learner's `step` must return state of the shapes and precision it was given; "
                f"the {'shared' if path[0].idx == 0 else 'local'} state"
                f"{jax.tree_util.keystr(path[1:])} was {old.dtype}{list(old.shape)} and became "
                f"{new.dtype}{list(new.shape)}. Create it in `init` with x.dtype."
            )
