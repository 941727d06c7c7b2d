r"""Where the number of context examples hides among the constants of a trace.

`jax.lax.psum(1.0, CONTEXT)` is a number when a learner is traced, so that `psum(1.0, CONTEXT) + 1`
leaves only its result. Therefore a learner is traced with two primes as that number: constants that
differ depend on it, and each then knows both of its values. One prime is large and one is small, so
that a condition such as `n > 10` falls out differently.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from innerloop.collectives import bodies_of
from innerloop.compiler.errors import Refused
from innerloop.compiler.sources import source_of

AXIS_SIZE, OTHER_SIZE = 1000003, 2
"""The size of the context axis while tracing: primes, far apart."""
COUNTED = (
    "it uses the number of context examples as a number, and weights must not depend on it.",
    "Use jax.lax.pmean, or divide a psum by a multiple of the axis size at once.",
)

Twins = dict[int, np.ndarray]
"""By the `id` of a literal or of a constant's variable: its value for `OTHER_SIZE`."""


def twins_of(one: ClosedJaxpr, other: ClosedJaxpr) -> Twins:
    """The constants of a trace that depend on the number of context examples.

    Args:
        one: The trace with `AXIS_SIZE`.
        other: The same function's with `OTHER_SIZE`.

    Raises:
        Refused: If the two differ in more than constants, such as in a shape or a number of loops.
    """
    found: Twins = {}
    _compare_constants(one, other, found)
    _compare(one.jaxpr, other.jaxpr, found)
    return found


def _compare_constants(one: ClosedJaxpr, other: ClosedJaxpr, found: Twins) -> None:
    for var, a, b in zip(one.jaxpr.constvars, one.consts, other.consts, strict=True):
        if np.shape(a) != np.shape(b):
            raise Refused(*_BY_SHAPE)
        if a is not b and not np.array_equal(number(a), number(b), equal_nan=True):
            found[id(var)] = number(b)


_BY_SHAPE = (
    "its operations or the shapes in it depend on the number of context examples, and a "
    "transformer has the same weights for every prompt.",
    "Use shapes and loops of fixed size, and jax.lax.pmean or psum over the context.",
)


_REFUSED_LATER = ("all_gather", "all_gather_invariant", "all_to_all", "psum_scatter")
"""Collectives whose shapes depend on the number; the lowering says what to write instead."""


def _compare(one: Jaxpr, other: Jaxpr, found: Twins) -> None:
    for a, b in zip(one.eqns, other.eqns, strict=False):
        if a.primitive.name in _REFUSED_LATER and a.primitive is b.primitive:
            return
        if _outline(a) != _outline(b):
            raise Refused(*_BY_SHAPE, source_of(a))
        _compare_literals(a.invars, b.invars, found)
        for inner, twin in zip(_closed(a), _closed(b), strict=True):
            _compare_constants(inner, twin, found)
        for inner, twin in zip(bodies_of(a), bodies_of(b), strict=True):
            _compare(inner, twin, found)
    if len(one.eqns) != len(other.eqns):
        raise Refused(*_BY_SHAPE)
    _compare_literals(one.outvars, other.outvars, found)


def _outline(eqn) -> tuple:
    """What two traces of an equation must agree in."""
    shapes = tuple(v.aval.shape for v in (*eqn.invars, *eqn.outvars))
    return eqn.primitive, shapes, eqn.params.get("length")


def _compare_literals(one: Sequence, other: Sequence, found: Twins) -> None:
    for a, b in zip(one, other, strict=True):
        if isinstance(a, Literal) != isinstance(b, Literal):
            raise Refused(*_BY_SHAPE)
        if isinstance(a, Literal) and not np.array_equal(a.val, b.val, equal_nan=True):
            found[id(a)] = np.asarray(b.val)


def _closed(eqn) -> list[ClosedJaxpr]:
    leaves = jax.tree.leaves(eqn.params, is_leaf=lambda p: isinstance(p, ClosedJaxpr))
    return [leaf for leaf in leaves if isinstance(leaf, ClosedJaxpr)]


def number(value) -> np.ndarray:
    """A constant as a numpy array; a random key as the numbers it is made of."""
    if hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(value))
    return np.asarray(value)


def multiple_of_count(array: np.ndarray, twin: np.ndarray | None) -> float | None:
    """`c`, where a constant is `c` times the number of context examples in every entry."""
    return _ratio(array, twin, lambda value, count: value / count)


def multiple_of_inverse(array: np.ndarray, twin: np.ndarray | None) -> float | None:
    """`c`, where a constant is `c` divided by the number of context examples in every entry."""
    return _ratio(array, twin, lambda value, count: value * count)


def _ratio(array: np.ndarray, twin: np.ndarray | None, by: Callable) -> float | None:
    if twin is None:
        return None
    one = by(np.asarray(array, float), AXIS_SIZE).ravel()
    two = by(np.asarray(twin, float), OTHER_SIZE).ravel()
    found = np.concatenate([one, two])
    same = np.allclose(found, found[0], rtol=1e-12, atol=0.0)
    return float(found[0]) if same and np.isfinite(found[0]) and found[0] else None
