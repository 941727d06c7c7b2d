"""How XLA generates code for a training run on a CPU.

Its fusion emitters take about a megabyte for each kernel that they compile, 200 to 300 MB for a
training step, and more time to compile. Without them attention on its own trains a little quicker,
small decoders 5 to 10 % slower in 60 % of the memory, and other models with neurons up to a third
slower: these keep them, and so do large decoders, where training takes more than compiling.
"""

from functools import cache

import jax
from jaxtyping import PyTree

from innerloop.models import MLP, Decoder

LARGE = 4_000_000
_LIGHT = {"xla_cpu_use_fusion_emitters": False}


def compiler_options(weights: PyTree) -> dict[str, bool]:
    """The options for a run's programs, as `jax.jit(compiler_options=)` takes them.

    Args:
        weights: The model's trained arrays, of all seeds.

    Example:
        >>> from innerloop.models import SelfAttention
        >>> compiler_options(SelfAttention(mlp=4)(d=3, p=1, key=jax.random.key(0)))
        {}
    """
    large = sum(leaf.size for leaf in jax.tree.leaves(weights)) > LARGE
    kept = large or (_has_neurons(weights) and not isinstance(weights, Decoder))
    return {} if kept or jax.default_backend() != "cpu" or not _known() else _LIGHT


def _has_neurons(weights: PyTree) -> bool:
    nodes = jax.tree.leaves(weights, is_leaf=lambda node: isinstance(node, MLP))
    return any(isinstance(node, MLP) for node in nodes)


@cache
def _known() -> bool:
    """Whether this version of XLA has the option."""
    try:
        jax.jit(lambda: 0, compiler_options=_LIGHT).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
