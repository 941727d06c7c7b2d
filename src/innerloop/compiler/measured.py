"""What a certificate cannot prove is measured: the model against the learner, prompt by prompt."""

from collections.abc import Iterable
from dataclasses import replace

import jax
import numpy as np

from innerloop.compiler.compiled import Compiled
from innerloop.learners import Learner, run
from innerloop.prompts import Prompt


def certify(model: Compiled, learner: Learner, prompts: Iterable[Prompt]) -> Compiled:
    """The model with its certificate completed by a measurement.

    Runs the learner in float64 and the model in its own precision on every prompt, and keeps the
    largest difference over all steps and queries, relative to the learner's largest prediction.

    Args:
        model: A compiled learner.
        learner: The learner that it was compiled from.
        prompts: Prompts from the domain on which it will be used.

    Returns:
        The same model; its certificate says what was measured, on how many prompts.

    Raises:
        ValueError: If there is no prompt.

    Example:
        >>> import numpy as np, optax
        >>> import innerloop as il
        >>> prompt = il.Prompt([[1.0], [2.0]], [[2.0], [4.0]], [[3.0]])
        >>> line = il.learner(lambda w, x: w @ x, np.zeros((1, 1)), optimizer=optax.sgd(0.1))
        >>> model = il.certify(il.compile(line, steps=3, like=prompt), line, [prompt])
        >>> model.certificate.prompts, model.certificate.measured < 1e-12
        (1, True)
    """
    worst, count = 0.0, 0
    for prompt in prompts:
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), prompt)
        truth = np.asarray(run(learner, wide, steps=model.steps))
        gap = np.abs(np.asarray(model.iterates(wide)) - truth).max()
        worst = max(worst, float(gap / max(np.abs(truth).max(), np.finfo(float).tiny)))
        count += 1
    if not count:
        raise ValueError("certify needs at least one prompt to measure on; got none.")
    certificate = replace(model.certificate, measured=worst, prompts=count)
    return replace(model, certificate=certificate)
