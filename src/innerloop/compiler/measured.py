r"""The model against its learner, prompt by prompt: the difference measured, and bounded.

    |model(prompt) - learner(prompt)| <= bound(prompt)

The left side is measured at every step and query, the right side computed from what the learner
does on that prompt. Elsewhere neither is known.
"""

from collections.abc import Iterable
from dataclasses import replace

import jax
import numpy as np

from innerloop.compiler.compiled import Compiled
from innerloop.compiler.lowered import lowered_for
from innerloop.compiler.proofs import largest_prediction, prompt_bounds, splines_of
from innerloop.learners import Learner, run
from innerloop.prompts import Prompt


class BoundExceeded(RuntimeError):
    """A compiled model is further from its learner than was proved."""


def certify(model: Compiled, learner: Learner, prompts: Iterable[Prompt]) -> Compiled:
    """The model with its certificate completed: measured and bounded on prompts of your own.

    Runs the learner in float64 and the model in its own precision on every prompt, and keeps the
    largest difference over all steps and queries, relative to the learner's largest prediction.
    Beside it stands the largest bound on that difference, computed for each of the prompts from
    the learner's values, the model's splines and ramps, and rounding; it may be infinite, and is
    missing where the certificate has none for the sample prompt.

    Args:
        model: A compiled learner.
        learner: The learner that it was compiled from.
        prompts: Prompts from the domain on which it will be used.

    Returns:
        The same model; its certificate says what was measured and proved, on how many prompts.

    Raises:
        ValueError: If there is no prompt, or the learner is not the one that was compiled.
        BoundExceeded: If a difference is larger than its bound.

    Example:
        >>> import numpy as np, optax
        >>> import innerloop as il
        >>> prompt = il.Prompt([[1.0], [2.0]], [[2.0], [4.0]], [[3.0]])
        >>> line = il.learner(lambda w, x: w @ x, np.zeros((1, 1)), optimizer=optax.sgd(0.1))
        >>> model = il.certify(il.compile(line, steps=3, like=prompt), line, [prompt])
        >>> certificate = model.certificate
        >>> certificate.prompts, certificate.measured <= certificate.bound < 1e-12
        (1, True)
    """
    worst, count = 0.0, 0
    largest = 0.0 if model.certificate.sample_bounds else None
    proof = None
    learnt = jax.jit(lambda prompt: run(learner, prompt, steps=model.steps))
    for prompt in prompts:
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), prompt)
        with jax.enable_x64(True):
            truth = np.asarray(learnt(wide))
        gap = np.abs(np.asarray(model.iterates(wide)) - truth)
        gap = np.where(np.isnan(gap), np.inf, gap)
        scale = largest_prediction(truth)
        worst = max(worst, float(gap.max() / scale))
        if largest is not None:
            proof = proof or _Proof(model, learner, wide)
            radius = proof.radius(wide)
            _check(gap, radius, count)
            largest = max(largest, float(radius.max() / scale))
        count += 1
    if not count:
        raise ValueError("certify needs at least one prompt to measure on; got none.")
    certificate = replace(model.certificate, measured=worst, prompts=count, bound=largest)
    return replace(model, certificate=certificate)


class _Proof:
    """The learner lowered again, with the splines that the model has."""

    def __init__(self, model: Compiled, learner: Learner, prompt: Prompt):
        self.stated, self.steps = model.certificate, model.steps
        with jax.enable_x64(True):
            self.programs = lowered_for(
                learner,
                prompt,
                model.steps,
                attention=self.stated.attention,
                dual_form=self.stated.dual,
            )
            self.splines = splines_of(self.programs, self.stated)

    def radius(self, prompt: Prompt) -> np.ndarray:
        """How far the model may be from the learner on a prompt."""
        with jax.enable_x64(True):
            return prompt_bounds(
                self.programs, self.stated, prompt, self.steps, self.splines
            ).radius


def _check(gap: np.ndarray, radius: np.ndarray, number: int) -> None:
    """Whether what was measured is what was proved."""
    if not (gap > radius).any():
        return
    step, query, target = np.unravel_index(np.argmax(gap - radius), gap.shape)
    where = step, query, target
    raise BoundExceeded(
        f"on prompt {number}, after {step} steps, target {target} of query {query} differs from "
        f"the learner's by {gap[where]:.3g}; the bound is {radius[where]:.3g}. The model's weights "
        "have been changed, or it was compiled from another learner; if neither, this is a bug in "
        "innerloop that should be reported with the learner and the prompt."
    )
