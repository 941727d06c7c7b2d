r"""What tokens may say to one another: `psum` and `pmean` over the context, and `attend`.

`attend` is a JAX primitive so that the trace of a learner shows it as one operation, which the
compiler turns into one attention head with that kernel.

    attend(q, k, v)_i = sum_{j in context} v_j kernel(k_j, q_i)      mean=True divides by n

Axes: `n` context examples, `t` tokens, `k` key size, `v` value size.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Primitive
from jax.interpreters import ad, batching
from jaxtyping import Array, Bool, Float

from innerloop.kernels import Kernel
from innerloop.tokens import CONTEXT

attend_p = Primitive("attend")
COLLECTIVES = ("psum", "attend")
_TRANSPARENT = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}


@attend_p.def_abstract_eval
def _attend_shape(query, key, value, *, kernel, mean):
    del query, key, kernel, mean
    return value


def _has_no_rule(transformation: str) -> Callable:
    """Refuses a transformation of `attend` that could not be run or compiled."""

    def refuse(*arguments, **settings):
        raise ValueError(
            f"il.attend was called inside {transformation}: it is one attention head, which "
            "compiles forwards only. Differentiate and map what stands inside a token, and let "
            "il.attend carry the results; a gradient over the context is jax.lax.pmean of each "
            "token's own gradient."
        )

    return refuse


ad.primitive_jvps[attend_p] = _has_no_rule("jax.grad, jax.jvp or another derivative")
batching.primitive_batchers[attend_p] = _has_no_rule("jax.vmap")


@attend_p.def_impl
def _attend_outside(query, key, value, *, kernel, mean):
    raise ValueError(
        "il.attend was called outside a learner: it exchanges values between tokens, so it only "
        "has a meaning inside the `step` or `predict` of a Learner that il.run or il.compile "
        "executes."
    )


def attend(
    query: Float[Array, " k"],
    key: Float[Array, " k"],
    value: Float[Array, " v"],
    *,
    kernel: str | Kernel = "linear",
    mean: bool = False,
) -> Float[Array, " v"]:
    r"""The sum over context tokens of their value, weighted by how their key matches this query.

    `sum_j value_j * kernel(key_j, query)`; with `mean=True` divided by `n`, the number of context
    examples. With `kernel="softmax"` the weights sum to one already, and `mean` changes nothing.

    Args:
        query: What this token looks for.
        key: What this token shows to the others.
        value: What this token gives to the others.
        kernel: A kernel's name, or a `Kernel` where it has a bandwidth.
        mean: Whether to divide by the number of context examples.

    Returns:
        The weighted sum over the context, a different one in each token.

    Raises:
        ValueError: If the shapes do not fit, or the kernel is unknown.

    Example:
        One step of kernel regression from zero: the mean of the targets, weighted by `<x_j, x>`.

        >>> from innerloop.learners import Learner, run
        >>> from innerloop.prompts import Prompt
        >>> smoother = Learner(
        ...     lambda x, y: ((), jnp.zeros_like(y)),
        ...     lambda shared, local, x, y: (shared, attend(x, x, y, mean=True)),
        ...     lambda shared, local, x: local,
        ... )
        >>> prompt = Prompt([[1.0], [2.0]], [[3.0], [4.0]], [[10.0]])
        >>> run(smoother, prompt, steps=1)[:, 0, 0].tolist()
        [0.0, 55.0]
    """
    kernel = Kernel(kernel) if isinstance(kernel, str) else kernel
    if query.ndim != 1 or query.shape != key.shape or value.ndim != 1:
        raise ValueError(
            "il.attend takes vectors, with query and key of one size; got shapes "
            f"query {query.shape}, key {key.shape}, value {value.shape}."
        )
    return attend_p.bind(query, key, value, kernel=kernel, mean=mean and not kernel.normalised)


def inner_jaxpr(eqn) -> ClosedJaxpr | None:
    """The body of an equation that only wraps code (`jit`, `custom_jvp`, `remat`), or None."""
    name = _TRANSPARENT.get(eqn.primitive.name)
    if name is None:
        return None
    body = eqn.params[name]
    return body if isinstance(body, ClosedJaxpr) else ClosedJaxpr(body, ())


def has_collective(jaxpr: Jaxpr) -> bool:
    """Whether tokens talk to each other anywhere inside."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in COLLECTIVES or _names_the_context(eqn):
            return True
        if any(has_collective(body) for body in bodies_of(eqn)):
            return True
    return False


def bodies_of(eqn) -> list[Jaxpr]:
    """The jaxprs that an equation carries: a scan's body, a cond's branches."""
    leaves = jax.tree.leaves(eqn.params, is_leaf=lambda p: isinstance(p, ClosedJaxpr | Jaxpr))
    closed = (p.jaxpr if isinstance(p, ClosedJaxpr) else p for p in leaves)
    return [p for p in closed if isinstance(p, Jaxpr)]


def evaluate_masked(closed: ClosedJaxpr, arguments: Sequence, is_context: Bool[Array, ""]) -> list:
    """Evaluates a traced token program inside `vmap`; only context tokens enter its reductions.

    Args:
        closed: A jaxpr traced with the context axis named and `n` as its size.
        arguments: One token's inputs, inside a `vmap` whose axis is named `CONTEXT`.
        is_context: Whether this token is a context example.

    Returns:
        The program's outputs, in this token.
    """
    values: dict = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    values |= dict(zip(closed.jaxpr.invars, arguments, strict=True))

    def read(atom):
        return atom.val if isinstance(atom, Literal) else values[atom]

    for eqn in closed.jaxpr.eqns:
        inputs = [read(v) for v in eqn.invars]
        outputs = _evaluate_equation(eqn, inputs, is_context)
        values.update(zip(eqn.outvars, outputs, strict=True))
    return [read(v) for v in closed.jaxpr.outvars]


def _evaluate_equation(eqn, inputs: list, is_context: Bool[Array, ""]) -> list:
    name = eqn.primitive.name
    if name == "psum":
        return [jax.lax.psum(jnp.where(is_context, v, jnp.zeros_like(v)), CONTEXT) for v in inputs]
    if name == "attend":
        return [_attend_masked(*inputs, **eqn.params, is_context=is_context)]
    if (body := inner_jaxpr(eqn)) is not None:
        return evaluate_masked(body, inputs, is_context)
    if name == "scan" and has_collective(eqn.params["jaxpr"].jaxpr):
        return _scan_masked(eqn.params, inputs, is_context)
    if name in ("cond", "while") and any(has_collective(body) for body in bodies_of(eqn)):
        raise ValueError(
            f"a reduction over the context stands inside a `{name}`: tokens that take different "
            "branches would wait for each other. Use `fori_loop` with fixed bounds, or `jnp.where`."
        )
    if _names_the_context(eqn):
        raise ValueError(
            f"`{name}` over the context is not a collective of learners, which are jax.lax.pmean, "
            "jax.lax.psum and il.attend: it would let the queries in. Write it with these."
        )
    out = eqn.primitive.bind(*inputs, **eqn.params)
    return list(out) if eqn.primitive.multiple_results else [out]


def _names_the_context(eqn) -> bool:
    """Whether an equation speaks to the other tokens: `pmax`, `all_gather`, `axis_index`, ..."""
    names = (eqn.params.get("axes"), eqn.params.get("axis_name"))
    return any(name == CONTEXT or (isinstance(name, tuple) and CONTEXT in name) for name in names)


def _scan_masked(params: dict, inputs: list, is_context: Bool[Array, ""]) -> list:
    """A `lax.scan` whose body reduces over the context."""
    consts, carry = params["num_consts"], params["num_carry"]
    fixed, start, slices = (
        inputs[:consts],
        inputs[consts : consts + carry],
        inputs[consts + carry :],
    )

    def body(state, x):
        out = evaluate_masked(params["jaxpr"], [*fixed, *state, *x], is_context)
        return out[:carry], out[carry:]

    state, stacked = jax.lax.scan(
        body, start, slices, length=params["length"], reverse=params["reverse"]
    )
    return [*state, *stacked]


def _attend_masked(
    query, key, value, *, kernel: Kernel, mean: bool, is_context: Bool[Array, ""]
) -> Float[Array, " v"]:
    """`attend` inside `vmap`: gathers the context's keys and values, and weights the values."""
    gather: Callable = jax.lax.all_gather
    keys, values, mask = (gather(v, CONTEXT) for v in (key, value, is_context))
    # A zero weight does not mask a query's NaN or infinity, so its value is taken out as well.
    values = jnp.where(mask[:, None], values, 0.0)
    scores = kernel.scores(query[None], keys)[0]
    if kernel.normalised:
        weights = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf))
    else:
        weights = jnp.where(mask, scores, 0.0)
    total = weights @ values
    return total / jnp.sum(mask, dtype=total.dtype) if mean else total
