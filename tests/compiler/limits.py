"""Bounds for one model on any prompt, as `il.certify` computes them."""

import functools
from dataclasses import dataclass

import numpy as np

import innerloop as il
from innerloop.compiler.programs import lower
from innerloop.compiler.proofs import prompt_bounds, splines_of
from innerloop.compiler.trace import trace


@dataclass
class Limits:
    """How far a model may be from its learner, on any prompt, after every step."""

    learner: il.Learner
    model: il.compiler.Compiled

    @functools.cached_property
    def programs(self):
        nothing = il.Prompt(*(np.zeros((1, k)) for k in (self.model.d, self.model.p, self.model.d)))
        return lower(trace(self.learner, nothing), self.model.steps)

    @functools.cached_property
    def splines(self):
        return splines_of(self.programs, self.model.certificate)

    def __call__(self, prompt) -> np.ndarray:
        certificate, steps = self.model.certificate, self.model.steps
        return prompt_bounds(self.programs, certificate, prompt, steps, self.splines).radius
