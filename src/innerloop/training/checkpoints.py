"""Checkpoints with Orbax: the arrays of a run after a step, whole or not at all.

Orbax writes to a temporary folder and renames it when all is there, so that a process that is
killed leaves the checkpoint before untouched.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

FOLDER = "checkpoints"


def _orbax() -> Any:
    """`orbax.checkpoint`; the package is an extra, and slow to import."""
    try:
        return import_module("orbax.checkpoint")
    except ImportError as error:
        raise ImportError(
            "a run that is kept in a directory writes checkpoints with orbax-checkpoint, which is "
            "not installed. Install the extra: pip install 'innerloop[train]', or train without "
            "directory=."
        ) from error


class Checkpoints:
    """The checkpoints of a run folder; the last two are kept.

    Args:
        directory: The run folder.
    """

    def __init__(self, directory: Path):
        self._orbax = _orbax()
        self._manager = self._orbax.CheckpointManager(
            (directory / FOLDER).absolute(),
            options=self._orbax.CheckpointManagerOptions(
                max_to_keep=2, enable_async_checkpointing=False
            ),
        )

    @property
    def latest(self) -> int | None:
        """The step of the last whole checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: PyTree) -> None:
        """Writes the arrays of a pytree, and returns when they are on disk."""
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
        named = {f"{place:05d}": leaf for place, leaf in enumerate(leaves)}
        self._manager.save(step, args=self._orbax.args.StandardSave(named))
        self._manager.wait_until_finished()

    def restore(self, step: int, like: PyTree) -> PyTree:
        """The pytree of a checkpoint, with the structure and the shapes of `like`."""
        leaves, shape = jax.tree.flatten(like)
        named = {f"{place:05d}": np.asarray(leaf) for place, leaf in enumerate(leaves)}
        found = self._manager.restore(step, args=self._orbax.args.StandardRestore(named))
        return jax.tree.unflatten(shape, [jax.numpy.asarray(found[name]) for name in named])

    def close(self) -> None:
        """Ends Orbax's threads."""
        self._manager.close()
