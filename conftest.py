"""Settings for all that pytest runs, doctests included; made before `innerloop` is imported.

JAX's strict dtype promotion is left off: optax's Adam multiplies a float by an integer count.
"""

import os

import jax
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")
