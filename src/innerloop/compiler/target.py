"""What a learner is compiled into, with every choice made."""

from dataclasses import dataclass
from typing import Literal

from innerloop.compiler.emulation import Softmax

_KNOWN = {
    "attention": ("linear", "relu", "softmax"),
    "mlp": ("reglu", "relu"),
    "tie": ("looped", "unrolled"),
    "optimize": (None, "depth"),
    "dtype": ("float64", "float32"),
    "domain": ("sample", "box"),
}


@dataclass(frozen=True)
class Target:
    """The kind of transformer.

    Args:
        attention: The kind of attention; of softmax, how close to linear.
        mlp: The kind of neurons, `reglu` or `relu`.
        tie: Whether steps share their blocks, `looped` or `unrolled`.
        dtype: The precision.
        dual: Whether matrices are carried in their dual form, where they have one.
        tolerance: The largest error of what is approximated.
        domain: Whether domains are measured, `sample`, or proved where they can be, `box`.
    """

    attention: Literal["linear", "relu"] | Softmax
    mlp: str
    tie: str
    dtype: str
    dual: bool
    tolerance: float
    domain: str

    @property
    def softmax(self) -> Softmax | None:
        """How close softmax attention is to linear; None for other kinds."""
        return self.attention if isinstance(self.attention, Softmax) else None

    @property
    def kind(self) -> str:
        """The kind of attention in a word."""
        return "softmax" if isinstance(self.attention, Softmax) else self.attention

    @property
    def multiplies(self) -> bool:
        """Whether neurons can multiply."""
        return self.mlp == "reglu"


def target_of(
    attention: str | Softmax,
    mlp: str,
    tie: str,
    optimize: str | None,
    dtype: str,
    tolerance: float,
    domain: str,
) -> Target:
    """The target that arguments of `compile` ask for.

    Raises:
        ValueError: If one of them is unknown, rather than to compile into something else.
    """
    kind = "softmax" if isinstance(attention, Softmax) else attention
    chosen = {"attention": kind, "mlp": mlp, "tie": tie, "optimize": optimize, "dtype": dtype}
    chosen["domain"] = domain
    for name, value in chosen.items():
        if value not in _KNOWN[name]:
            known = " or ".join(repr(target) for target in _KNOWN[name])
            raise ValueError(f"{name}={value!r} is not a target of the compiler; use {known}.")
    made: Literal["linear", "relu"] | Softmax = "relu" if kind == "relu" else "linear"
    if kind == "softmax":
        softmax = attention if isinstance(attention, Softmax) else Softmax()
        made = softmax.settled(tolerance=tolerance, dtype=dtype)
    return Target(made, mlp, tie, dtype, optimize == "depth", tolerance, domain)
