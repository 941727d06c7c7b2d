r"""The model against its learner, prompt by prompt: the difference measured, and bounded.

    |model(prompt) - learner(prompt)| <= bound(prompt)

The left side is measured at every step and query, the right side computed from what the learner
does on that prompt. Elsewhere neither is known.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from innerloop.compiler.certificate import Certificate, Drawn
from innerloop.compiler.compiled import Compiled
from innerloop.compiler.lowered import lowered_for
from innerloop.compiler.proofs import largest_prediction, prompt_bounds, splines_of
from innerloop.learners import Learner, run
from innerloop.precision import in_precision
from innerloop.prompts import Prompt

_MOST_QUERIES = 16
_MOST_AT_ONCE = 128
_MOST_NUMBERS = 1 << 24


class BoundExceeded(RuntimeError):
    """A compiled model is further from its learner than was proved."""


def certify(
    model: Compiled,
    learner: Learner,
    prompts: Iterable[Prompt] | int,
    *,
    key: Array | None = None,
) -> Compiled:
    """The model with its certificate completed: measured and bounded on prompts of your own.

    Runs the learner in float64 and the model in its own precision on every prompt, and keeps the
    largest difference over all steps and queries, relative to the learner's largest prediction.
    Beside it stands the largest bound on that difference, computed for each of the prompts from
    the learner's values, the model's splines and ramps, and rounding; it may be infinite.

    A number in place of prompts draws as many at random, of the sample prompt's size with 16
    queries at most: covariates and targets are uniform in the smallest box around the samples, or
    targets are among its labels, where it has few. These are measured, many at a time; only the
    worst of them is bounded as well, as a check.

    Args:
        model: A compiled learner.
        learner: The learner that it was compiled from.
        prompts: Prompts from the domain on which it will be used, or how many to draw.
        key: For prompts that are drawn; default `jax.random.key(0)`.

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
        >>> drawn = il.certify(model, line, 1000).certificate.drawn
        >>> drawn.prompts, drawn.covered, drawn.inside < 1e-12
        (1000, 1000, True)
    """
    if isinstance(prompts, int):
        given = jax.random.key(0) if key is None else key
        return replace(model, certificate=_on_drawn(model, learner, prompts, given))
    tried = list(prompts)
    if not tried:
        raise ValueError("certify needs at least one prompt to measure on; got none.")
    proof = _Proof(model, learner, tried[0])
    measure = _measuring(model, learner)
    worst = largest = 0.0
    for batch in _batches(model, tried):
        found = measure(jax.tree.map(lambda *leaves: np.stack(leaves), *map(_wide, batch.prompts)))
        for k, prompt in enumerate(batch.prompts):
            scale, radius = found.scale[k], proof.radius(_wide(prompt))
            _check(found.gap[k], radius, batch.start + k)
            worst = max(worst, float(found.gap[k].max() / scale))
            largest = max(largest, float(radius.max() / scale))
    certificate = replace(model.certificate, measured=worst, prompts=len(tried), bound=largest)
    return replace(model, certificate=certificate)


def _on_drawn(model: Compiled, learner: Learner, count: int, key: Array) -> Certificate:
    """The certificate with what is measured on random prompts."""
    certificate = model.certificate
    if count < 1:
        raise ValueError(f"certify needs at least one prompt to measure on; got {count}.")
    if certificate.box is None:
        raise ValueError(
            "this model's certificate has no box to draw prompts from; give certify prompts."
        )
    n, m = certificate.examples, max(1, min(certificate.queries, _MOST_QUERIES))
    drawn = certificate.box.drawn(key, count, n=n, m=m)
    measure, size = _measuring(model, learner), _at_once(model, n + m, count)
    checked = jax.jit(jax.vmap(lambda prompt: model._run(prompt, False)[1]))
    each, covered, worst = np.zeros(count), np.zeros(count, bool), (-1.0, 0, np.zeros(0))
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)
        some = jax.tree.map(lambda leaf: leaf[rows], drawn)  # noqa: B023 (used at once)
        found = measure(some)
        hits = in_precision(checked, model.dtype, _cast(model, some)).reshape(size, -1)
        with np.errstate(over="ignore"):
            relative = found.gap.max(axis=(1, 2, 3)) / found.scale
        each[rows], covered[rows] = relative, np.isfinite(relative) & ~hits.any(axis=1)
        k = int(relative.argmax())
        if relative[k] > worst[0] and np.isfinite(relative[k]):
            worst = float(relative[k]), int(rows[k]), found.gap[k]
    if worst[0] >= 0.0:
        prompt = jax.tree.map(lambda leaf: leaf[worst[1]], drawn)
        _check(worst[2], _Proof(model, learner, prompt).radius(prompt), worst[1])
    inside, outside = (float(each[rows].max(initial=0.0)) for rows in (covered, ~covered))
    told = Drawn(count, n, m, int(covered.sum()), inside, outside)
    return replace(certificate, drawn=told)


class _Found(NamedTuple):
    """Of each of some prompts, the differences `(c, s, m, p)` and the largest prediction."""

    gap: np.ndarray
    scale: np.ndarray


def _measuring(model: Compiled, learner: Learner) -> Callable[[Prompt], _Found]:
    """Model and learner on prompts of one shape, all at once."""
    learnt = jax.jit(jax.vmap(lambda prompt: run(learner, prompt, steps=model.steps)))
    iterates = jax.jit(jax.vmap(model.iterates))

    def measured(prompts: Prompt) -> _Found:
        with jax.enable_x64(True):
            truth = np.asarray(learnt(prompts))
        found = in_precision(iterates, model.dtype, _cast(model, prompts))
        with np.errstate(invalid="ignore"):
            gap = np.abs(found - truth)
        gap = np.where(np.isnan(gap), np.inf, gap)
        return _Found(gap, np.array([largest_prediction(each) for each in truth]))

    return measured


class _Batch(NamedTuple):
    """Some prompts of one shape, and the number of the first."""

    start: int
    prompts: list[Prompt]


def _batches(model: Compiled, prompts: Sequence[Prompt]) -> Iterator[_Batch]:
    """Neighbours of one shape together, as many as fit."""
    start = 0
    for (n, m, *_), group in groupby(prompts, lambda p: (p.n, p.m, p.d, p.p)):
        alike = list(group)
        size = _at_once(model, n + m, len(alike))
        for k in range(0, len(alike), size):
            yield _Batch(start + k, alike[k : k + size])
        start += len(alike)


def _at_once(model: Compiled, tokens: int, count: int) -> int:
    """How many prompts to run together: equal shares, none with too many numbers."""
    neurons = model.transformer.blocks.mlp
    widest = model.width if neurons is None else max(model.width, neurons.W_out.shape[-1])
    most = max(1, min(_MOST_AT_ONCE, _MOST_NUMBERS // (widest * (tokens + len(model.registers)))))
    return -(-count // -(-count // most))


def _cast(model: Compiled, prompts: Prompt) -> Prompt:
    """Prompts in the model's precision."""
    return jax.tree.map(lambda leaf: leaf.astype(model.dtype), prompts)


def _wide(prompt: Prompt) -> Prompt:
    """A prompt in float64."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), prompt)


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
                multiplies=self.stated.mlp == "reglu",
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
