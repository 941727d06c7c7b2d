"""What a training run is, as data: the optimiser, the loss, the budget, the curriculum."""

from dataclasses import dataclass
from typing import Literal

import optax

from innerloop.tasks import AbstractTask

Loss = Literal["queries", "prefixes", "expected", "moments", "population"]


@dataclass(frozen=True)
class Optimizer:
    """Adam or AdamW with clipping; the defaults are those of von Oswald et al.'s released code.

    Args:
        learning_rate: The largest step size.
        schedule: Constant, or a cosine down to zero at the last step.
        warmup: Steps over which the rate rises from zero.
        b1: Decay of the mean gradient.
        b2: Decay of the mean square.
        eps: Added to the root of the mean square.
        weight_decay: Decoupled weight decay.
        clip: The largest global norm of a gradient; None for no bound.
    """

    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = 0
    b1: float = 0.9
    b2: float = 0.98
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float | None = 10.0

    def rate(self, steps: int) -> optax.Schedule:
        """The step size as a function of the step, for a run of `steps`."""
        if self.schedule == "constant":
            after = optax.constant_schedule(self.learning_rate)
        else:
            after = optax.cosine_decay_schedule(self.learning_rate, max(steps - self.warmup, 1))
        if self.warmup == 0:
            return after
        rising = optax.linear_schedule(0.0, self.learning_rate, self.warmup)
        return optax.join_schedules([rising, after], [self.warmup])

    def chain(self, steps: int) -> optax.GradientTransformation:
        """The optax chain for a run of `steps`."""
        rate = self.learning_rate if self._constant else self.rate(steps)
        adam = optax.adamw(
            rate, b1=self.b1, b2=self.b2, eps=self.eps, weight_decay=self.weight_decay
        )
        return (
            adam if self.clip is None else optax.chain(optax.clip_by_global_norm(self.clip), adam)
        )

    @property
    def _constant(self) -> bool:
        return self.schedule == "constant" and self.warmup == 0


@dataclass(frozen=True)
class Curriculum:
    """Garg et al.'s curriculum: prompts grow in dimensions and in points.

    Covariates beyond the present dimensions are zero. The default for d = 20 and n = 40.

    Args:
        dims: First number of dimensions, and how many are added at a time.
        points: First number of context examples, and how many are added at a time.
        every: Steps between additions.
    """

    dims: tuple[int, int] = (5, 1)
    points: tuple[int, int] = (10, 2)
    every: int = 2000

    def stage(self, step: int, task: AbstractTask) -> AbstractTask:
        """The task at a step, before covariates are padded to the full number."""
        grown = step // self.every
        d = min(task.d, self.dims[0] + self.dims[1] * grown)
        n = min(task.n, self.points[0] + self.points[1] * grown)
        stage = task.resized(n=n, d=d)
        if (stage.d, stage.n) != (d, n):
            raise ValueError(
                f"a curriculum asked {type(task).__name__} for d = {d} and n = {n}, and got d = "
                f"{stage.d} and n = {stage.n}. Give it a method `resized`, or train without."
            )
        return stage


@dataclass(frozen=True)
class TrainingConfig:
    """How long, on what, and when to stop.

    Args:
        steps: How many optimiser steps.
        batch: Prompts a step, all of them new.
        loss: Half the squared error at the `queries`, or at every prefix of the prompt (decoders);
            `expected` takes the mean over targets in closed form, for models linear in them;
            `moments` over targets and queries, for `Preconditioned` layers, from the contexts'
            second moments; `population` takes the mean over everything, for one layer of linear
            attention.
        optimizer: The optimiser.
        evaluate_every: Steps of a chunk: one compiled program, then an evaluation.
        evaluation_prompts: Held-out prompts, the same at every evaluation.
        evaluation_seed: Draws them.
        checkpoint_every: Evaluations between checkpoints.
        target: A held-out loss at which a seed stops.
        patience: Evaluations without a better held-out loss after which a seed stops.
        divergence: A seed stops as diverged at this multiple of its first held-out loss.
        curriculum: How prompts grow, or None.
        stretches: For `moments`: factors of the variance along a direction that half of the
            contexts are stretched by, and weighted for it, so that no batch is without those that
            are rare and rule the mean.
    """

    steps: int = 5000
    batch: int = 2048
    loss: Loss = "queries"
    optimizer: Optimizer = Optimizer()
    evaluate_every: int = 100
    evaluation_prompts: int = 10_000
    evaluation_seed: int = 5
    checkpoint_every: int = 5
    target: float | None = None
    patience: int | None = None
    divergence: float = 1e3
    curriculum: Curriculum | None = None
    stretches: tuple[float, ...] = ()

    def __post_init__(self):
        for name in ("steps", "batch", "evaluate_every", "evaluation_prompts", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if self.stretches and (self.loss != "moments" or min(self.stretches) <= 1):
            raise ValueError(
                "stretches are factors above 1, for loss='moments'; got "
                f"{self.stretches} with loss={self.loss!r}."
            )
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1 evaluation; got {self.patience}.")
        if self.curriculum is not None and self.curriculum.every % self.evaluate_every:
            raise ValueError(
                f"a curriculum grows between chunks, so its every={self.curriculum.every} must be "
                f"a multiple of evaluate_every={self.evaluate_every}."
            )
