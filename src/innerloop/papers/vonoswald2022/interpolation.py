"""Appendix A.3: weights that are the same model are scaled alike, and then mixed."""

import equinox as eqx
import numpy as np

from innerloop.constructions import gd_plus_plus, gradient_descent, interpolated, rescaled
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most
from innerloop.papers.vonoswald2022.explicit import EXACT, D, P, apart, descended, sampled

STEPS, FACTOR = 2, 4.0


def mixing(scale: Scale) -> Outcome:
    """A construction and the same one stretched, mixed with rescaling and without."""
    del scale
    rng, checks = np.random.default_rng(0), []
    prompt, start = sampled(rng), rng.normal(size=(P, D))
    sizes = {"d": D, "p": P, "steps": STEPS, "learning_rate": 0.9}
    for name, model in (
        ("GD", gradient_descent(**sizes, weights=start)),
        ("GD++", gd_plus_plus(**sizes, curvature=0.3)),
    ):
        head = model.transformer.blocks.attention[0]
        stretched = eqx.tree_at(
            lambda m: [getattr(m.transformer.blocks.attention[0], w) for w in ("W_Q", "W_O")],
            model,
            [head.W_Q / FACTOR, head.W_O * FACTOR],
        )
        expected = model(prompt)
        mixed = interpolated(rescaled(model), rescaled(stretched))
        checks.append(
            at_most(f"relative error, rescaled, {name}", apart(mixed(prompt), expected), EXACT)
        )
        raw = interpolated(model, stretched)(prompt)
        checks.append(at_least(f"the same without rescaling, {name}", apart(raw, expected), 1e-2))
    slow, fast = (gradient_descent(**{**sizes, "learning_rate": rate}) for rate in (0.4, 1.0))
    middle = interpolated(slow, fast, 0.25)(prompt)
    expected = descended(prompt, np.zeros((P, D)), [0.55] * STEPS)
    what = "a quarter of the way from η = 0.4 to 1, against η = 0.55"
    checks.append(at_most(what, apart(middle, expected), EXACT))
    return Outcome(tuple(checks), settings={"K": STEPS, "stretched by": FACTOR}, seeds=(0,))


INTERPOLATION = (
    Claim(
        id="interpolation",
        statement="Dividing W_KQ by the mean β of its diagonal over the covariates, and "
        "multiplying P W_V with it, makes models comparable; their mean is then a model between.",
        place="Appendix A.3",
        tolerance="float64 rounding; without rescaling the mean must be wrong by a per cent",
        measure=mixing,
    ),
)
