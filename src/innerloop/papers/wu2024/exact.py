"""Wu et al.: what holds to the last digits, for ReLU networks and squared error."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import innerloop as il
from innerloop import constructions
from innerloop.constructions import Construction
from innerloop.papers.claims import Check, Claim, Outcome, Scale, at_least, at_most, near
from innerloop.papers.wu2024.network import (
    Weights,
    descend,
    flat,
    gradient,
    margin,
    predictions,
    problem,
)

RATE, BOX, EXAMPLES = 0.1, 1.2, 6
RAMP, SHARPNESS, LARGEST_SCORE = 1e-5, 1e4, 100.0
CASES = {
    "smoke": ((2, 5), (3, 2)),
    "small": tuple((depth, steps) for depth in (2, 3, 4, 6) for steps in (1, 2, 5, 10)),
    "paper": tuple((depth, steps) for depth in (2, 3, 4, 6) for steps in (1, 2, 5, 10, 20)),
}
SETTINGS = {"step size": RATE, "box": BOX, "examples": EXAMPLES, "d": 3, "K": 4, "p": 2}
EXACT = "float64: errors of rounding, at most 1e-9 after all steps"


def as_printed(weights: Weights, steps: int, *, codes: bool = False) -> Construction:
    """Theorem 1's layers, or with its multiplications done by position codes."""
    return constructions.deep_gradient_descent(
        weights,
        examples=EXAMPLES,
        steps=steps,
        learning_rate=RATE,
        activation=constructions.relu(RAMP),
        box=BOX,
        products="positions" if codes else "multiplication",
        largest_score=LARGEST_SCORE,
    )


def standard(weights: Weights, steps: int, *, early: bool = False) -> Construction:
    """The same descent by ReLU attention and MLPs alone."""
    return constructions.deep_standard(
        weights,
        examples=EXAMPLES,
        steps=steps,
        learning_rate=RATE,
        sharpness=SHARPNESS,
        box=BOX,
        early=early,
    )


def trained(weights: Weights) -> il.Learner:
    """Projected gradient descent as a learner, with its gradient by `jax.grad`."""

    def apply(matrices, x):
        for v in matrices:
            x = jnp.maximum(v @ x, 0.0)
        return x

    def project(updates, params):
        return jax.tree.map(lambda g, w: jnp.clip(w - RATE * g, -BOX, BOX) - w, updates, params)

    return il.learner(apply, tuple(weights), optimizer=optax.stateless(project))


def lemma_1(scale: Scale) -> Outcome:
    """The recursion in numpy against `jax.grad` of the loss as it is defined."""
    checks = []
    for depth in (2, 3) if scale == "smoke" else (2, 3, 4, 6):
        for rule, function in (("relu", jax.nn.relu), ("sigmoid", jax.nn.sigmoid)):
            weights, prompt = problem(depth, d=5 if scale == "smoke" else 20, width=7)
            x, y = jnp.asarray(prompt.x), jnp.asarray(prompt.y)

            def loss(matrices, x=x, y=y, function=function):
                for v in matrices:
                    x = function(x @ v.T)
                return jnp.sum((x - y) ** 2) / (2 * len(x))

            slopes = jax.grad(loss)([jnp.asarray(v) for v in weights])
            exact = flat([np.asarray(v) for v in slopes])
            error = float(np.abs(flat(gradient(weights, prompt, rule)) - exact).max())
            checks.append(at_most(f"error, N = {depth}, {rule}", error, 1e-10))
    return Outcome(tuple(checks), settings={"K": 7, "p": 2, "examples": EXAMPLES})


def _errors(scale: Scale, build, layers) -> Outcome:
    """A construction's predictions after every number of steps, against descent in numpy."""
    checks: list[Check] = []
    for depth, steps in CASES[scale]:
        weights, prompt = problem(depth)
        path = descend(weights, prompt, rate=RATE, steps=steps, box=BOX)
        truth, model = predictions(path[-1], prompt), build(weights, steps)
        error, moved = np.abs(model(prompt) - truth).max(), truth - predictions(path[0], prompt)
        name = f"N = {depth}, L = {steps}"
        checks.append(at_most(f"largest error of a prediction, {name}", error, 1e-9))
        checks.append(at_least(f"what was learnt, {name}", np.abs(moved).max(), 1e-3))
        checks.append(at_least(f"margin of the ReLUs, {name}", margin(path, prompt), RAMP))
        taken = (model.sublayers - depth) / steps
        checks.append(near(f"layers a step, {name}", taken, float(layers(depth))))
    return Outcome(tuple(checks), settings=SETTINGS)


def theorem_1(scale: Scale) -> Outcome:
    """As printed: `2N + 4` layers a step, `N` more for the prediction."""
    outcome = _errors(scale, as_printed, lambda depth: 2 * depth + 4)
    widths = []
    for depth in (2, 3, 4, 6):
        weights, _ = problem(depth)
        units, numbers = sum(len(v) for v in weights), sum(v.size for v in weights)
        width = as_printed(weights, 1).width
        expected = 3 + 2 * 2 + numbers + 3 * units + 2
        widths.append(near(f"width, N = {depth}", float(width), float(expected)))
    return Outcome((*outcome.checks, *widths), settings=outcome.settings)


def tokens_stay(scale: Scale) -> Outcome:
    """After a step a token holds `(x; y; w; 0; 1; t)` again, with the weights of descent."""
    checks = []
    for depth, steps in CASES[scale][1:4]:
        weights, prompt = problem(depth)
        path = descend(weights, prompt, rate=RATE, steps=steps, box=BOX)
        stream = as_printed(weights, steps).stream(prompt)
        numbers, units = sum(v.size for v in weights), sum(len(v) for v in weights)
        held, scratch = stream[:, 5 : 5 + numbers], stream[:, 5 + numbers + units : -1]
        scratch = np.delete(scratch, 2 * units, axis=1)  # the constant 1 stands before g
        error, name = np.abs(held - flat(path[-1])[None]).max(), f"N = {depth}, L = {steps}"
        checks.append(at_most(f"error of the weights held, {name}", error, 1e-9))
        checks.append(at_most(f"scratch r', s and g, {name}", np.abs(scratch).max(), 0.0))
    return Outcome(tuple(checks), settings=SETTINGS)


def theorem_4(scale: Scale) -> Outcome:
    """Covariates and targets of other numbers than the paper's main text has."""
    checks = []
    for d, p in ((2, 5), (5, 1))[: 1 if scale == "smoke" else 2]:
        for steps in (2,) if scale == "smoke" else (1, 2, 5):
            weights, prompt = problem(3, d=d, p=p)
            path = descend(weights, prompt, rate=RATE, steps=steps, box=BOX)
            found = as_printed(weights, steps)(prompt)
            error = np.abs(found - predictions(path[-1], prompt)).max()
            checks.append(at_most(f"largest error, d = {d}, p = {p}, L = {steps}", error, 1e-9))
    return Outcome(tuple(checks), settings={"N": 3, "K": 4, "step size": RATE, "box": BOX})


def remark_3(scale: Scale) -> Outcome:
    """Multiplication layers replaced by two ReLU heads each, with codes of position."""
    checks = []
    for depth, steps in CASES[scale][:1] if scale == "smoke" else CASES[scale][::3]:
        weights, prompt = problem(depth)
        plain, lowered = (as_printed(weights, steps, codes=codes) for codes in (False, True))
        name = f"N = {depth}, L = {steps}"
        kinds = {type(a).__name__ for a in lowered.transformer.blocks.attention}
        checks += [
            at_most(
                f"kinds of layers beside attention, {name}", float(len(kinds - {"Attention"})), 0.0
            ),
            at_most(
                f"largest difference, {name}", np.abs(lowered(prompt) - plain(prompt)).max(), 1e-10
            ),
            near(f"depth over that with multiplications, {name}", lowered.depth / plain.depth, 1.0),
        ]
    return Outcome(tuple(checks), settings=SETTINGS | {"largest score": LARGEST_SCORE})


def other_lengths(scale: Scale) -> Outcome:
    """Weights written down for `n` examples, run on `n'`."""
    checks = []
    for other in (2,) if scale == "smoke" else (1, 2, 11, 23):
        weights, prompt = problem(3, n=other)
        factor = other * (EXAMPLES + 1) / (EXAMPLES * (other + 1))
        found = as_printed(weights, 2)(prompt)
        for name, rate in (("eta n' (n+1) / (n (n'+1))", RATE * factor), ("eta", RATE)):
            path = descend(weights, prompt, rate=rate, steps=2, box=BOX)
            error = np.abs(found - predictions(path[-1], prompt)).max()
            what = f"error against a step of {name}, n' = {other}"
            checks.append(
                at_most(what, error, 1e-9) if rate != RATE else at_least(what, error, 1e-6)
            )
    return Outcome(tuple(checks), settings=SETTINGS | {"n": EXAMPLES})


def zero_start(scale: Scale) -> Outcome:
    """Weights after descent from zero, read from the query's residual stream."""
    del scale
    _, prompt = problem(2)
    zero = [np.zeros((4, 3)), np.zeros((2, 4))]
    checks = []
    for name, activation in (
        ("ReLU", constructions.relu(RAMP)),
        ("sigmoid", constructions.sigmoid(4.0, 32)),
    ):
        model = constructions.deep_gradient_descent(
            zero, examples=EXAMPLES, steps=2, learning_rate=5.0, activation=activation, box=BOX
        )
        held = model.stream(prompt)[0, 5 : 5 + 20]
        hidden = held[:12].reshape(4, 3)
        if name == "ReLU":
            checks.append(at_most("largest weight of a ReLU network", np.abs(held).max(), 0.0))
        else:
            spread = np.abs(hidden - hidden[:1]).max()
            moved = np.abs(hidden).max()
            checks.append(at_most("largest difference of two sigmoid units", spread, 1e-12))
            checks.append(at_least("largest weight into a sigmoid unit", moved, 1e-4))
    return Outcome(tuple(checks), settings={"step size": 5.0, "L": 2, "N": 2, "K": 4})


def layers_a_step(scale: Scale) -> Outcome:
    """Layers of every form, counted from the weights, and of what the compiler makes."""
    depths = (2,) if scale == "smoke" else (2, 3, 4, 6)
    rows = []
    for depth in depths:
        weights, prompt = problem(depth)
        printed, plain = as_printed(weights, 1), standard(weights, 1)
        early = standard(weights, 1, early=True)
        softmax = constructions.deep_softmax(
            weights, steps=1, learning_rate=RATE, beta=1e-4, sink=30.0, sharpness=1e4, box=BOX
        )
        one, two = (il.compile(trained(weights), steps=k, like=prompt).depth for k in (1, 2))
        rows.append(
            (
                printed.sublayers - depth,
                plain.sublayers - depth,
                plain.depth - depth,
                early.depth - depth,
                softmax.depth - depth,
                two - one,
            )
        )
    found = np.array(rows, float)
    names = (
        "layers as printed",
        "sub-layers of ReLU attention alone",
        "blocks of ReLU attention alone",
        "blocks with errors beside outputs",
        "blocks of softmax attention",
        "blocks of the compiler",
    )
    formulas = ((2, 4), (2, 2), (2, 1), (2, 0), (2, 1), (2, 1))
    checks = tuple(
        near(f"{name}, N = {depth}", found[i, k], float(a * depth + b), said="" if k else "2N + 4")
        for k, (name, (a, b)) in enumerate(zip(names, formulas, strict=True))
        for i, depth in enumerate(depths)
    )
    return Outcome(checks, settings=SETTINGS)


CLAIMS = (
    Claim(
        id="lemma-1",
        statement="The gradient is a sum over examples of outer products s(j) p(j-1)ᵀ, with s from "
        "the last layer back by s(j) = r'(j-1) * (V_{j+1}ᵀ s(j+1)).",
        place="Lemma 1, equations 3.5 to 3.7",
        tolerance="float64: 1e-10 against automatic differentiation",
        measure=lemma_1,
    ),
    Claim(
        id="theorem-1-relu",
        statement="(2N + 4) L layers of ReLU attention, MLP and element-wise multiplication take L "
        "steps of projected gradient descent on an N-layer network; with ReLU every part is exact "
        "off a margin.",
        place="Theorem 1 (its proof; the theorem asks for smooth activations)",
        tolerance=EXACT + "; layers are counted",
        measure=theorem_1,
    ),
    Claim(
        id="theorem-1-tokens",
        statement="After every step each token is (x; y; w; 0; 1; t) again, so that blocks stack.",
        place="Theorem 1, Problem 1",
        tolerance="scratch exactly zero; weights to 1e-9 in float64",
        measure=tokens_stay,
        correction="Scratch must be erased, g included, which equation 3.22 leaves out: residual "
        "connections add to what is there.",
    ),
    Claim(
        id="theorem-4",
        statement="Covariates and targets may differ in number.",
        place="Theorem 4, Appendix D",
        tolerance=EXACT,
        measure=theorem_4,
    ),
    Claim(
        id="remark-3",
        statement="Element-wise multiplication cannot be done by layers of a transformer, so a "
        "layer of its own is needed.",
        place="Remark 3, Definition 6",
        tolerance="float64: 1e-10 between the two transformers",
        measure=remark_3,
        correction="It can: two heads of ReLU attention do it exactly once tokens carry codes of "
        "their position; and the descent does not need it (see layers-a-step).",
    ),
    Claim(
        id="layers-a-step",
        statement="A step takes 2N + 4 layers; ReLU attention alone takes 2N + 2, as 2N + 1 blocks "
        "of attention and MLP, or 2N with errors computed beside outputs; softmax attention "
        "2N + 1 blocks, and so does what the compiler makes of the same descent.",
        place="Theorem 1; all counts but the first are ours",
        tolerance="counted",
        measure=layers_a_step,
    ),
    Claim(
        id="other-lengths",
        statement="The weights depend on the number n of examples: run on n' examples they take "
        "steps of eta n' (n+1) / (n (n'+1)).",
        place="Theorem 1, equation 3.21; the paper does not print it",
        tolerance="float64: 1e-9; a step of eta is wrong by at least 1e-6",
        measure=other_lengths,
    ),
    Claim(
        id="zero-start",
        statement="Descent begins at w(0) = 0 and trains the network.",
        place="Problem 1",
        tolerance="ReLU weights stay exactly zero; sigmoid units stay equal to 1e-12",
        measure=zero_start,
        correction="At zero a ReLU network never moves and the units of a sigmoid network stay "
        "equal for ever; w(0) has to be something else, and the construction takes any.",
    ),
)
