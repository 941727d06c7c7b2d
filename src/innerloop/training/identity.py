r"""What a run folder belongs to: written when a run begins, held against whoever goes on with it.

A checkpoint holds arrays only. Weights of another task or another optimiser may have the same
shapes, and a run would go on from them without a word.
"""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import jax
import numpy as np
from jaxtyping import PyTree

IDENTITY = "identity.json"


def claim(directory: Path, weights: PyTree, **parts: object) -> None:
    """Writes what a run is into its folder, or checks that it is what stands there.

    Args:
        directory: The folder, which exists.
        weights: The trained arrays, of which shapes and types count here.
        **parts: What decides the run besides, by name: dataclasses count with all their fields,
            functions and other objects by where they are defined.

    Raises:
        ValueError: If the folder belongs to another run.
    """
    leaves = [f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(weights)]
    here = {name: _named(part) for name, part in parts.items()} | {"weights": ", ".join(leaves)}
    path = directory / IDENTITY
    if path.exists():
        there = json.loads(path.read_text("utf-8"))
        other = [name for name in here if there.get(name) != here[name]]
        if other:
            differing = "; ".join(f"{n}: {there.get(n)} there, {here[n]} here" for n in other)
            raise ValueError(
                f"{directory} holds another run, which cannot go on as this one. {differing}. "
                "Choose another directory, or train with what that run began with."
            )
    part = path.with_suffix(".part")
    part.write_text(json.dumps(here, indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)


def contents(weights: PyTree) -> str:
    """A digest of arrays: a run that starts from others is another one."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(weights):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def _named(part: object) -> str:
    """The same in every process for the same part, so without addresses in memory."""
    if part is None or isinstance(part, tuple | str):
        return repr(part)
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return repr(part)
    kind = part if callable(part) and hasattr(part, "__qualname__") else type(part)
    return f"{kind.__module__}.{kind.__qualname__}"
