r"""Kernels: how strongly a token attends to another.

    linear   <k, q>            relu   max(<k, q>, 0)          exp   e^<k, q>
    rbf      exp(-|k - q|^2 / (2 s^2))                        softmax   e^<k, q> / sum_j e^<k_j, q>

A kernel is data, not code, so that a saved model can name the one it uses.
Axes: `k` key size, `j` tokens attended to, `q` tokens attending.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

KERNELS = ("linear", "relu", "exp", "rbf", "softmax")


@dataclass(frozen=True)
class Kernel:
    """A named score function of a query and a key.

    Args:
        name: One of `KERNELS`.
        bandwidth: The length scale `s` of the RBF kernel; unused by the others.

    Raises:
        ValueError: If the name is unknown or the bandwidth is not positive.

    Example:
        >>> Kernel("relu")
        Kernel(name='relu', bandwidth=1.0)
    """

    name: str = "linear"
    bandwidth: float = 1.0

    def __post_init__(self):
        if self.name not in KERNELS:
            raise ValueError(f"unknown kernel {self.name!r}; the kernels are {', '.join(KERNELS)}.")
        if not self.bandwidth > 0:
            raise ValueError(f"a kernel's bandwidth must be positive; got {self.bandwidth}.")

    @property
    def normalised(self) -> bool:
        """Whether the weights of one query sum to one over the tokens attended to."""
        return self.name == "softmax"

    def scores(
        self, queries: Float[Array, "*h q k"], keys: Float[Array, "*h j k"]
    ) -> Float[Array, "*h q j"]:
        """All scores of `queries` against `keys`; for softmax, the logits.

        Example:
            >>> import jax.numpy as jnp
            >>> Kernel("relu").scores(jnp.array([[2.0]]), jnp.array([[3.0], [-3.0]])).tolist()
            [[6.0, 0.0]]
        """
        dots = queries @ jnp.swapaxes(keys, -1, -2)
        match self.name:
            case "relu":
                return jax.nn.relu(dots)
            case "exp":
                return jnp.exp(dots)
            case "rbf":
                squares = (queries**2).sum(-1)[..., :, None] + (keys**2).sum(-1)[..., None, :]
                return jnp.exp((2.0 * dots - squares) / (2.0 * self.bandwidth**2))
            case _:
                return dots
