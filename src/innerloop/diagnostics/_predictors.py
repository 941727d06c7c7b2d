r"""Everything that answers a prompt is the same kind of thing: a predictor, `prompt -> (m, p)`.

An algorithm's run, a compiled, constructed or trained transformer, a scikit-learn regressor that
is fitted on the context: what can be traced by JAX is mapped over prompts and differentiated, and
what cannot is called prompt by prompt, and differentiated by central differences.
Axes: `b` prompts, `n` context, `m` queries, `d` covariates, `p` targets.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from innerloop.learners import Learner, run
from innerloop.precision import in_precision
from innerloop.prompts import Prompt

Predictor = Callable[[Prompt], Float[Array | np.ndarray, "m p"]]
Prompts = Prompt | Sequence[Prompt]

NOT_TRACEABLE = (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError)
STEP = 1e-5


def after(learner: Learner, steps: int) -> Predictor:
    """A learner after some steps, as a predictor.

    Args:
        learner: A learning algorithm.
        steps: How many steps it takes.

    Returns:
        From a prompt to the predictions at its queries.

    Example:
        >>> from innerloop.algorithms import gradient_descent
        >>> prompt = Prompt([[2.0]], [[1.0]], [[2.0]])
        >>> after(gradient_descent(0.125), 2)(prompt).tolist()
        [[0.75]]
    """
    return lambda prompt: run(learner, prompt, steps=steps)[-1]


def batch(prompts: Prompts) -> Prompt:
    """Prompts of equal sizes as one, with a leading axis.

    Args:
        prompts: A sequence of prompts, one prompt, or a batch made by `jax.vmap`.

    Returns:
        Arrays `(b, n, d)`, `(b, n, p)` and `(b, m, d)` in a `Prompt`.

    Raises:
        ValueError: If there is no prompt, or their sizes differ.
    """
    if isinstance(prompts, Prompt):
        return prompts if prompts.x.ndim == 3 else jax.tree.map(lambda a: a[None], prompts)
    if not prompts:
        raise ValueError("at least one prompt is needed to compare predictors on; got none.")
    shapes = {tuple(leaf.shape for leaf in jax.tree.leaves(prompt)) for prompt in prompts}
    if len(shapes) > 1:
        raise ValueError(
            f"prompts must have equal sizes to be compared at once; got x, y, xq of {shapes}. "
            "Group them by size."
        )
    stack = np.stack if all(isinstance(p.x, np.ndarray) for p in prompts) else jnp.stack
    return jax.tree.map(lambda *leaves: stack(leaves), *prompts)


def predictions(predictor: Predictor, prompts: Prompts) -> Float[Array | np.ndarray, "b m p"]:
    """What a predictor answers to each of many prompts.

    Args:
        predictor: From a prompt to `(m, p)`.
        prompts: Prompts of equal sizes.

    Returns:
        The predictions, `(b, m, p)`.
    """
    return mapped(predictor, batch(prompts))


def mapped(
    function: Callable[[Prompt], Float[Array | np.ndarray, "..."]], whole: Prompt
) -> Float[Array | np.ndarray, "b ..."]:
    """A function of a prompt on each of a batch: by `jax.vmap` where JAX can trace it."""
    try:
        return in_precision(jax.jit(jax.vmap(lambda p: function(p))), whole.dtype, whole)
    except NOT_TRACEABLE:
        return np.stack([np.asarray(function(one)) for one in separate(whole)])


def sensitivities(predictor: Predictor, prompts: Prompts) -> Float[Array | np.ndarray, "b m p d"]:
    r"""How the prediction at a query changes with the query, `d yhat(x_q) / d x_q`.

    For a predictor that is linear in the query these are its implicit weights.

    Args:
        predictor: From a prompt to `(m, p)`, each query answered by itself.
        prompts: Prompts of equal sizes.

    Returns:
        The derivatives, `(b, m, p, d)`.

    Example:
        >>> from innerloop.algorithms import gradient_descent
        >>> prompt = Prompt([[2.0]], [[1.0]], [[3.0]])
        >>> sensitivities(after(gradient_descent(0.125), 2), prompt).tolist()
        [[[[0.375]]]]
    """
    whole = batch(prompts)

    def at(prompt: Prompt) -> Float[Array, "m p d"]:
        def one(query):
            return predictor(Prompt(prompt.x, prompt.y, query[None]))[0]

        return jax.vmap(jax.jacfwd(one))(jnp.asarray(prompt.xq))

    try:
        return in_precision(jax.jit(jax.vmap(at)), whole.dtype, whole)
    except NOT_TRACEABLE:
        return np.stack([_differences(predictor, one) for one in separate(whole)])


def separate(whole: Prompt) -> list[Prompt]:
    """The prompts of a batch, in numpy."""
    arrays = (np.asarray(whole.x), np.asarray(whole.y), np.asarray(whole.xq))
    return [Prompt(*one) for one in zip(*arrays, strict=True)]


def _differences(predictor: Predictor, prompt: Prompt) -> Float[np.ndarray, "m p d"]:
    """Central differences, a covariate at a time."""
    xq = np.asarray(prompt.xq, np.float64)
    columns = []
    for shift in STEP * np.eye(prompt.d):
        above, below = (
            np.asarray(predictor(Prompt(prompt.x, prompt.y, moved)), np.float64)
            for moved in (xq + shift, xq - shift)
        )
        columns.append((above - below) / (2 * STEP))
    return np.stack(columns, axis=-1)
