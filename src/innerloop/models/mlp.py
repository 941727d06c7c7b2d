r"""The token-local half of a block.

    relu    W_out max(W_in h + b_in, 0) + b_out            gelu    W_out gelu(W_in h + b_in) + b_out
    reglu   W_out (max(W_gate h + b_gate, 0) * (W_in h + b_in)) + b_out

Axes: `t` tokens, `r` residual width, `f` neurons, `l` layers.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

ACTIVATIONS = ("relu", "reglu", "gelu")


class MLP(eqx.Module):
    """One hidden layer of neurons; the gate's weights exist only for ReGLU."""

    W_in: Float[Array | np.ndarray, "*l f r"]
    b_in: Float[Array | np.ndarray, "*l f"]
    W_out: Float[Array | np.ndarray, "*l r f"]
    b_out: Float[Array | np.ndarray, "*l r"]
    W_gate: Float[Array | np.ndarray, "*l f r"] | None = None
    b_gate: Float[Array | np.ndarray, "*l f"] | None = None
    activation: str = eqx.field(static=True, default="relu")

    def __check_init__(self):
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {self.activation!r}; choose {', '.join(ACTIVATIONS)}."
            )
        if (self.activation == "reglu") != (self.W_gate is not None and self.b_gate is not None):
            raise ValueError("W_gate and b_gate belong to activation='reglu', and only to it.")

    def __call__(self, tokens: Float[Array, "t r"]) -> Float[Array, "t r"]:
        """What the neurons add to the residual stream."""
        hidden = tokens @ self.W_in.T + self.b_in[None]
        match self.activation:
            case "reglu":
                assert self.W_gate is not None and self.b_gate is not None
                hidden = hidden * jax.nn.relu(tokens @ self.W_gate.T + self.b_gate[None])
            case "relu":
                hidden = jax.nn.relu(hidden)
            case _:
                hidden = jax.nn.gelu(hidden)
        return hidden @ jnp.swapaxes(self.W_out, -1, -2) + self.b_out[None]
