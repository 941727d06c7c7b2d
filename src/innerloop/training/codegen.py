"""How XLA generates code for a training run on a CPU.

Its fusion emitters take about a megabyte for each kernel they compile, 200 to 300 MB for a training
step, and more time to compile; only large decoders get it back, in steps that are a few per cent
quicker. A run of fewer weights than `LARGE` does without them.
"""

from functools import cache

import jax
from jaxtyping import PyTree

LARGE = 4_000_000
_LIGHT = {"xla_cpu_use_fusion_emitters": False}


def compiler_options(weights: PyTree) -> dict[str, bool]:
    """The options for a run's programs, as `jax.jit(compiler_options=)` takes them.

    Args:
        weights: The arrays that are trained, of all seeds.

    Example:
        >>> compiler_options(jax.ShapeDtypeStruct((3000, 2000), float))
        {}
    """
    large = sum(leaf.size for leaf in jax.tree.leaves(weights)) > LARGE
    return {} if large or jax.default_backend() != "cpu" or not _known() else _LIGHT


@cache
def _known() -> bool:
    """Whether this version of XLA has the option."""
    try:
        jax.jit(lambda: 0, compiler_options=_LIGHT).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
