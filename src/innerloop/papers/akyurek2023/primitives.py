"""Lemma 1: mov, mul, div and aff, one layer each."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from innerloop.constructions import Construction, interpolant
from innerloop.constructions._blocks import Layer, Slots, linear_neurons
from innerloop.constructions._construction import construction
from innerloop.constructions._primitives import apply_hinges, codes, mov, mul
from innerloop.papers.claims import Claim, Outcome, Scale, at_least, at_most, near
from innerloop.prompts import Prompt
from innerloop.report.canvas import QUIET, TEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXACT, D, P, EXAMPLES = 1e-12, 3, 2, 7
SLOTS = Slots(x=D, y=P, one=1, place=EXAMPLES + 1, out=P)
MANY = (1.0, 3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 1e-4, 1e-5, 1e-6)
DELTAS = {"smoke": (1e-1, 1e-2, 1e-3), "small": MANY, "paper": MANY}
INTERVALS = (4, 8, 16, 32)


def program(layer: Layer, activation: str = "relu") -> Construction:
    """One layer on tokens `(x; y; 1; position; out)`, read at `out`."""
    x, y, one, place = codes(D, P, EXAMPLES + 1)
    tokens = SLOTS.x.T @ x + SLOTS.y.T @ y + SLOTS.one.T @ one + SLOTS.place.T @ place
    embed = (tokens, tokens)
    return construction([layer], d=D, embed=embed, unembed=SLOTS.out, activation=activation)


def sampled(rng: np.random.Generator) -> Prompt:
    """Covariates, targets and queries in `[-1, 1]`."""
    x, y, xq = (rng.uniform(-1, 1, size=s) for s in ((EXAMPLES, D), (EXAMPLES, P), (5, D)))
    return Prompt(x, y, xq)


def moving(scale: Scale) -> Outcome:
    """Mov of every example's targets into the queries, and aff of their covariates."""
    del scale
    rng, checks = np.random.default_rng(0), []
    prompt = sampled(rng)
    for k in (0, EXAMPLES // 2, EXAMPLES - 1):
        head = mov(SLOTS.place[k : k + 1], SLOTS.one, SLOTS.y, SLOTS.out.T)
        error = np.abs(program(Layer((head,)))(prompt) - prompt.y[k : k + 1]).max()
        checks.append(at_most(f"mov from position {k}, error", error, EXACT))
    matrix = rng.normal(size=(P, D))
    neurons = linear_neurons(matrix @ SLOTS.x, SLOTS.out.T)
    for activation in ("relu", "gelu"):
        found = program(Layer((), neurons), activation)(prompt)
        error = np.abs(found - prompt.xq @ matrix.T).max()
        checks.append(at_most(f"aff by {activation} neurons, error", error, EXACT))
    return Outcome(tuple(checks), settings={"d": D, "examples": EXAMPLES}, seeds=(0,))


def multiplying(scale: Scale) -> Outcome:
    """Products of two entries by GeLU neurons as their arguments shrink, and by ReGLU neurons."""
    rng = np.random.default_rng(1)
    prompt = sampled(rng)
    products = prompt.xq[:, :2] * prompt.xq[:, 1:]
    factors = SLOTS.x[:2], SLOTS.x[1:], SLOTS.out.T
    deltas = np.array(DELTAS[scale])
    found = [program(Layer((), mul(*factors, float(d))), "gelu")(prompt) for d in deltas]
    errors = np.array([np.abs(f - products).max() for f in found])
    fit = (deltas <= 0.1) & (deltas >= 1e-3)
    slope = np.polyfit(np.log(deltas[fit]), np.log(errors[fit]), 1)[0]
    gated = np.abs(program(Layer((), mul(*factors)))(prompt) - products).max()
    checks = (
        near("order of the error in the scale of GeLU's arguments", slope, 2.0, absolute=0.1),
        at_most("least error by GeLU", errors.min(), 1e-6),
        at_most("error by ReGLU", gated, EXACT),
    )
    return Outcome(checks, {"delta": deltas, "error": errors}, {"d": D}, seeds=(1,))


def draw_multiplying(figure: "Figure", arrays: Mapping[str, np.ndarray]) -> None:
    """The error over the scale, until rounding."""
    axes = figure.subplots()
    delta, error = arrays["delta"], arrays["error"]
    middle = np.argmin(np.abs(delta - 0.1))
    axes.loglog(delta, error, "o-", color=TEST, markersize=4, label="mul by GeLU")
    reference = 0.3 * error[middle] * (delta / delta[middle]) ** 2
    shown = reference > error.min() / 10
    axes.loglog(delta[shown], reference[shown], "--", color=QUIET, label="slope 2")
    axes.set_xlabel("scale δ of GeLU's arguments")
    axes.set_ylabel("error of a product")
    axes.legend(frameon=False)


def dividing(scale: Scale) -> Outcome:
    """The reciprocal of `2 + x` on `[-1, 1]` by hinges, against the bound of an interpolant."""
    del scale
    rng, checks, radius = np.random.default_rng(2), [], 1.0
    prompt, errors = sampled(rng), []
    prompt = Prompt(prompt.x, prompt.y, np.linspace(-1, 1, 1001)[:, None] * np.ones((1, D)))
    for intervals in INTERVALS:
        hinges = interpolant(lambda t: 1 / (2 + t), radius, intervals)
        neurons = apply_hinges(hinges, SLOTS.x[:1], SLOTS.out[:1].T)
        found = program(Layer((), neurons))(prompt)[:, 0]
        errors.append(np.abs(found - 1 / (2 + prompt.xq[:, 0])).max())
        bound = (2 * radius / intervals) ** 2 * 2 / 8  # h^2 max |f''| / 8
        what = f"error over h² max|f''| / 8, {intervals} intervals"
        checks.append(at_most(what, errors[-1] / bound, 1.0))
    order = np.log2(errors[-1] / errors[-2])
    checks.append(near("order of the error in the number of hinges", order, -2.0, absolute=0.2))
    checks.append(at_least("error of the coarsest", errors[0], 1e-3))
    return Outcome(tuple(checks), settings={"interval": "[1, 3]"}, seeds=(2,))


PRIMITIVES = (
    Claim(
        id="mov-aff",
        statement="Moving entries from one token to others, and affine maps of a token's entries, "
        "take a layer each.",
        place="Lemma 1",
        tolerance="float64 rounding; mov is by linear attention here, where it is exact",
        measure=moving,
    ),
    Claim(
        id="mul",
        statement="Products of entries take a layer of GeLU neurons, as exactly as wanted.",
        place="Lemma 1, Appendix C",
        tolerance="order 2 within 0.1 in the scale of the arguments; gated neurons are exact",
        measure=multiplying,
        draw=draw_multiplying,
        caption="The error of products by GeLU neurons. At small scales rounding takes over.",
    ),
    Claim(
        id="div",
        statement="Division by an entry takes a layer.",
        place="Lemma 1",
        tolerance="the bound of a piecewise linear interpolant. The paper divides by LayerNorm; "
        "ours is an interpolant on an interval that is declared",
        measure=dividing,
    ),
)
