"""What `demo` and `learn` share: run a learner, compile it, run the transformer, compare."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from innerloop.cli.errors import UserError
from innerloop.cli.losses import LossSpec
from innerloop.cli.networks import network_learner
from innerloop.cli.optimizers import OptimizerSpec
from innerloop.cli.progress import Stages
from innerloop.cli.specs import ModelSpec
from innerloop.compiler import Compiled, CompileError, compile, save
from innerloop.learners import run
from innerloop.prompts import Prompt
from innerloop.report import Cut, Runs, Split, Study, Yardstick, study

DIVERGED = 1e6
STAGES = 3


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained.

    Args:
        model: Its hidden layers.
        optimizer: The optimiser.
        loss: The loss of one example.
        steps: How many steps.
        dtype: `float64` or `float32`.
        seed: Draws the initial weights.
        tolerance: The largest error of a smooth function on its domain.
    """

    model: ModelSpec
    optimizer: OptimizerSpec
    loss: LossSpec
    steps: int
    dtype: Literal["float64", "float32"]
    seed: int
    tolerance: float = 1e-6

    def described(self, d: int, p: int) -> str:
        """The recipe in words, for `d` covariates and `p` targets.

        Example:
            >>> sgd = OptimizerSpec("sgd", (("rate", 0.1),))
            >>> Recipe(ModelSpec((4,)), sgd, LossSpec("squared"), 5, "float64", 0).described(3, 1)
            'ReLU network 3-4-1, gradient descent at rate 0.1, squared loss'
        """
        sizes = "-".join(map(str, (d, *self.model.hidden, p)))
        kind = "ReLU network" if self.model.hidden else "linear model"
        return f"{kind} {sizes}, {self.optimizer.described}, {self.loss.described}"


@dataclass(frozen=True)
class Outcome:
    """A compiled model, its study, and the last predictions at the test rows, original units."""

    model: Compiled
    study: Study
    transformer: Float[np.ndarray, "m p"]
    direct: Float[np.ndarray, "m p"]


def experiment(
    name: str,
    recipe: Recipe,
    split: Split,
    cut: Cut,
    *,
    yardsticks: tuple[Yardstick, ...],
    stage: Stages,
) -> Outcome:
    """Trains directly, compiles, and lets the transformer learn in its forward pass.

    Args:
        name: The data set's name.
        recipe: What is trained and how.
        split: The data set.
        cut: Where the learnt function is drawn.
        yardsticks: Other methods on the same split.
        stage: Told what is happening.

    Returns:
        The model and what was found.

    Raises:
        UserError: If training diverges, or the compiler refuses the learner.
    """
    prompt = split.prompt(cut.inputs)
    prompt = Prompt(*(a.astype(recipe.dtype) for a in (prompt.x, prompt.y, prompt.xq)))
    learner = network_learner(
        recipe.model, recipe.optimizer, recipe.loss, d=prompt.d, p=prompt.p, seed=recipe.seed
    )
    clock = [time.perf_counter()]
    stage(f"{name}: direct training")
    direct = np.asarray(run(learner, prompt, steps=recipe.steps))
    _refuse_divergence(direct, recipe)
    clock.append(time.perf_counter())
    stage(f"{name}: compiling")
    try:
        model = compile(
            learner,
            steps=recipe.steps,
            like=prompt,
            tolerance=recipe.tolerance,
            dtype=recipe.dtype,
        )
    except CompileError as error:
        raise UserError(f"{name}: {' '.join(str(error).split())}") from error
    clock.append(time.perf_counter())
    stage(f"{name}: {model.depth} layers, one forward pass")
    transformer = np.asarray(model.iterates(prompt))
    clock.append(time.perf_counter())
    # Queries that repeat a training row see what that row saw: they need no second look.
    check = str(model.check(Prompt(prompt.x, prompt.y, prompt.xq[split.n :])))
    seconds = dict(zip(("direct training", "compile", "forward pass"), np.diff(clock), strict=True))
    test = slice(split.n, split.n + split.m)
    return Outcome(
        model=model,
        study=study(
            model,
            Runs(transformer, direct, check, {k: float(v) for k, v in seconds.items()}),
            split,
            cut,
            name=name,
            learner=recipe.described(prompt.d, prompt.p),
            yardsticks=yardsticks,
        ),
        transformer=split.restored(transformer[-1, test]),
        direct=split.restored(direct[-1, test]),
    )


def _refuse_divergence(direct: Float[np.ndarray, "s queries p"], recipe: Recipe) -> None:
    """Nothing is compiled for a training run that blows up."""
    lost = ~(np.abs(direct) < DIVERGED).all((1, 2))
    if lost.any():
        raise UserError(
            f"training with {recipe.optimizer} diverges after {int(lost.argmax())} steps; try "
            "a tenth of the learning rate"
        )


def keep(model: Compiled, directory: Path) -> None:
    """Saves a model; one that is already there is replaced.

    Raises:
        UserError: If something that is no model stands in its place.
    """
    try:
        save(model, directory)
    except (OSError, ValueError) as error:
        raise UserError(" ".join(str(error).split())) from None


def writable(directory: Path) -> Path:
    """The directory, made if need be.

    Raises:
        UserError: If it cannot be made or written to.
    """
    if directory.exists() and not directory.is_dir():
        raise UserError(f"--out {directory} is a file; give a directory, new or old")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return directory
    except OSError as error:
        raise UserError(
            f"--out {directory} cannot be written to ({error.strerror}); choose another directory"
        ) from None
