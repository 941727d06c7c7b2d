"""Elementwise primitives on numpy arrays: fused functions are evaluated often, in many shapes."""

from collections.abc import Callable

import numpy as np
import scipy.special as special

from innerloop.compiler.lower.structure import bind

_NUMPY: dict[str, Callable[..., np.ndarray]] = {
    "abs": np.abs,
    "add": np.add,
    "add_any": np.add,
    "and": np.logical_and,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "cbrt": np.cbrt,
    "copy": np.positive,
    "cos": np.cos,
    "cosh": np.cosh,
    "digamma": special.digamma,
    "div": np.divide,
    "eq": np.equal,
    "erf": special.erf,
    "erf_inv": special.erfinv,
    "erfc": special.erfc,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lgamma": special.gammaln,
    "log": np.log,
    "log1p": np.log1p,
    "logistic": special.expit,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.logical_not,
    "or": np.logical_or,
    "pow": np.power,
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "select_n": lambda which, no, yes: np.where(np.asarray(which) != 0, yes, no),
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "square": np.square,
    "stop_gradient": np.positive,
    "sub": np.subtract,
    "tan": np.tan,
    "tanh": np.tanh,
}


def numeric(eqn) -> Callable[..., np.ndarray]:
    """The primitive of an equation as a function of numpy arrays."""
    name = eqn.primitive.name
    if name == "integer_pow":
        power = eqn.params["y"]
        return lambda x: np.asarray(x, float) ** power
    if name == "convert_element_type" and np.issubdtype(eqn.params["new_dtype"], np.floating):
        return lambda x: np.asarray(x, np.float64)
    if name == "clamp":
        return lambda low, x, high: np.minimum(np.maximum(x, low), high)
    if name in _NUMPY:
        return _NUMPY[name]
    return lambda *arrays: bind(eqn, *_typed(eqn, arrays))


def _typed(eqn, arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Numbers in the types that the primitive was traced with."""
    broadcast = np.broadcast_arrays(*arrays)
    return [np.asarray(a).astype(v.aval.dtype) for a, v in zip(broadcast, eqn.invars, strict=True)]
