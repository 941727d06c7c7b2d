r"""A prompt: labelled examples, and the inputs whose labels are asked for.

    context  (x_1, y_1), ..., (x_n, y_n)        queries  xq_1, ..., xq_m

Axes: `n` context examples, `m` queries, `d` covariates, `p` targets.
"""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float


def _as_floating(values: object) -> Array | np.ndarray:
    """Keeps JAX arrays and float arrays; turns lists, integers and booleans into numpy floats."""
    if isinstance(values, jax.Array):
        return values
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


class Prompt(eqx.Module):
    """Context examples and queries: what an in-context learner is given.

    Arrays are kept as they come: numpy stays numpy, so float64 data stays float64 whatever
    JAX's default precision is. `run` and a compiled model compute in the prompt's own precision.

    Args:
        x: Covariates of the context examples, `(n, d)`.
        y: Targets of the context examples, `(n, p)`.
        xq: Covariates of the queries, `(m, d)`.

    Raises:
        ValueError: If the three shapes do not fit together.

    Example:
        >>> import numpy as np
        >>> prompt = Prompt(np.ones((5, 3)), np.ones((5, 2)), np.ones((7, 3)))
        >>> prompt.n, prompt.m, prompt.d, prompt.p
        (5, 7, 3, 2)
    """

    x: Float[Array | np.ndarray, "n d"] = eqx.field(converter=_as_floating)
    y: Float[Array | np.ndarray, "n p"] = eqx.field(converter=_as_floating)
    xq: Float[Array | np.ndarray, "m d"] = eqx.field(converter=_as_floating)

    def __check_init__(self):
        shapes = f"x {self.x.shape}, y {self.y.shape}, xq {self.xq.shape}"
        if any(a.ndim != 2 for a in (self.x, self.y, self.xq)):
            raise ValueError(
                f"a prompt needs three matrices, x (n, d), y (n, p) and xq (m, d); got {shapes}. "
                "Write a single target as a column, y[:, None], and a single query as a row, "
                "xq[None]."
            )
        if self.x.shape[0] != self.y.shape[0]:
            raise ValueError(f"x and y must have one row per context example; got {shapes}.")
        if self.x.shape[1] != self.xq.shape[1]:
            raise ValueError(f"x and xq must have the same number of covariates; got {shapes}.")
        if self.x.shape[0] == 0:
            raise ValueError(f"a prompt needs at least one context example; got {shapes}.")

    @property
    def n(self) -> int:
        """Number of context examples."""
        return self.x.shape[0]

    @property
    def m(self) -> int:
        """Number of queries."""
        return self.xq.shape[0]

    @property
    def d(self) -> int:
        """Number of covariates."""
        return self.x.shape[1]

    @property
    def p(self) -> int:
        """Number of targets."""
        return self.y.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """The widest precision among the three arrays."""
        return np.result_type(self.x.dtype, self.y.dtype, self.xq.dtype)
