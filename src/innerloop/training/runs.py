"""A run in a folder: its configuration, seeds, versions, metrics, checkpoints and weights.

    config.json  versions.json  metrics.jsonl  checkpoints/  weights.safetensors

The folder is enough to run it again, to the same bits on the same machine.
"""

import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
from safetensors.numpy import save_file

from innerloop.models import GPT2, KernelHeads, Preconditioned, SelfAttention
from innerloop.tasks import TASKS, AbstractTask, Covariance, Covariates
from innerloop.training.config import Curriculum, Optimizer, TrainingConfig
from innerloop.training.configurations import ConfigurationError, decode, encode
from innerloop.training.history import Record
from innerloop.training.loop import Trained, train
from innerloop.training.program import trainable

CONFIG, VERSIONS, WEIGHTS = "config.json", "versions.json", "weights.safetensors"
RECORDED = ("innerloop", "jax", "jaxlib", "equinox", "optax", "numpy", "orbax-checkpoint")


@dataclass(frozen=True)
class Run:
    """All that decides a run.

    Args:
        model: The architecture.
        task: What it is trained on.
        training: The budget, the loss and the optimiser.
        seeds: Trained at once.
    """

    model: SelfAttention | Preconditioned | KernelHeads | GPT2
    task: AbstractTask
    training: TrainingConfig = TrainingConfig()
    seeds: tuple[int, ...] = (0,)


PARTS = (
    *(Run, TrainingConfig, Optimizer, Curriculum, Covariates, Covariance),
    *(SelfAttention, Preconditioned, KernelHeads, GPT2),
    *TASKS.values(),
)
KINDS: dict[str, type] = {kind.__name__: kind for kind in PARTS}
"""The dataclasses that a configuration may name."""


def execute(
    run: Run, directory: Path, *, report: Callable[[Record], None] | None = None
) -> Trained:
    """Trains, and keeps everything in a folder; goes on where an earlier process was stopped.

    Args:
        run: What to do.
        directory: The folder, new or of the same run.
        report: Called with every record.

    Returns:
        The trained models.

    Raises:
        ConfigurationError: If the folder holds another run.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / CONFIG
    if config.exists() and read(config) != run:
        raise ConfigurationError(
            f"{directory} holds a run with another configuration. Choose another folder, or give "
            f"{config} to go on with that run."
        )
    written = json.dumps(encode(run), indent=2) + "\n"
    config.write_text(written, encoding="utf-8")
    (directory / VERSIONS).write_text(json.dumps(versions(), indent=2) + "\n", encoding="utf-8")
    trained = train(
        run.model, run.task, run.training, seeds=run.seeds, directory=directory, report=report
    )
    weights = eqx.filter(trained.models, trainable)
    named = jax.tree_util.tree_leaves_with_path(weights)
    save_file(
        {jax.tree_util.keystr(path)[1:]: np.asarray(leaf) for path, leaf in named},
        directory / WEIGHTS,
    )
    return trained


def read(path: Path) -> Run:
    """A run from its configuration.

    Raises:
        ConfigurationError: If the file is not JSON, or is not a run.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}") from error
    return decode(data, Run, KINDS)


def versions() -> dict[str, str | None]:
    """Versions of what decides the numbers, and the package's git revision if there is one."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in RECORDED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        answer = subprocess.run(git, capture_output=True, text=True, check=False)
        found["git"] = answer.stdout.strip() or None
    except OSError:
        found["git"] = None
    return found
