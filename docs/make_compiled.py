"""Writes compiled.md: what the compiler makes of every optimiser and every algorithm.

python docs/make_compiled.py
"""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import optax

import innerloop as il
from innerloop import algorithms

HERE = Path(__file__).parent
OPTIMIZERS: dict[str, Callable[[], optax.GradientTransformation]] = {
    "sgd": lambda: optax.sgd(0.05),
    "sgd, momentum": lambda: optax.sgd(0.05, momentum=0.9),
    "sgd, Nesterov": lambda: optax.sgd(0.05, momentum=0.9, nesterov=True),
    "sgd, cosine schedule": lambda: optax.sgd(optax.cosine_decay_schedule(0.05, 10)),
    "sgd, weight decay": lambda: optax.chain(optax.add_decayed_weights(1e-2), optax.sgd(0.05)),
    "sgd, clipped by value": lambda: optax.chain(optax.clip(0.05), optax.sgd(0.05)),
    "sgd, clipped by global norm": lambda: optax.chain(
        optax.clip_by_global_norm(0.1), optax.sgd(0.05)
    ),
    "optimistic_gradient_descent": lambda: optax.optimistic_gradient_descent(0.05),
    **{
        name: (lambda name=name: (getattr(optax, name, None) or getattr(optax.contrib, name))(1e-2))
        for name in (
            "sign_sgd", "lion", "adam", "adamw", "nadam", "adamax", "amsgrad", "adabelief", "yogi",
            "radam", "rmsprop", "adagrad", "adadelta", "adafactor", "lamb", "lars", "novograd",
            "rprop", "sm3",
        )
    },
}  # fmt: skip


def network(params: dict, x: jax.Array) -> jax.Array:
    """Two layers of ReLU units."""
    return params["w2"] @ jax.nn.relu(params["w1"] @ x + params["b1"]) + params["b2"]


def optimizer_rows(rng: np.random.Generator) -> Iterator[str]:
    """A row for each optimiser, three steps on a 3-7-2 network."""
    prompt = il.Prompt(rng.normal(size=(11, 3)), rng.normal(size=(11, 2)), rng.normal(size=(5, 3)))
    shapes = {"w1": (7, 3), "b1": (7,), "w2": (2, 7), "b2": (2,)}
    params = {name: rng.normal(size=shape) / 2 for name, shape in shapes.items()}
    for name, make in OPTIMIZERS.items():
        yield row(name, lambda make=make: il.learner(network, params, optimizer=make()), prompt)


def algorithm_rows(rng: np.random.Generator) -> Iterator[str]:
    """A row for each algorithm with default settings, three steps."""
    x, xq = rng.uniform(-1, 1, size=(13, 3)), rng.uniform(-1, 1, size=(7, 3))
    y = x @ rng.uniform(-1, 1, size=(3, 2))
    regression = il.Prompt(x, y, xq)
    labels = il.Prompt(x, (y[:, :1] > 0).astype(float), xq)
    cases = {
        "gradient descent": (lambda: algorithms.gradient_descent(0.8), regression),
        "heavy ball": (lambda: algorithms.heavy_ball(0.8, 0.4), regression),
        "Chebyshev": (lambda: algorithms.chebyshev(0.1, 1.0), regression),
        "GD++": (lambda: algorithms.gd_plus_plus(0.8, 0.3), regression),
        "iterative Newton (Newton-Schulz)": (lambda: algorithms.newton_schulz(0.2), regression),
        "conjugate gradient": (algorithms.conjugate_gradient, regression),
        "averaging": (algorithms.averaging, regression),
        "functional gradient descent, RBF": (
            lambda: algorithms.functional_gradient_descent(0.8, kernel="rbf"),
            regression,
        ),
        "logistic regression (Newton)": (
            lambda: algorithms.logistic_regression(0.1, bound=3.0),
            labels,
        ),
    }
    for name, (make, prompt) in cases.items():
        yield row(name, make, prompt)


def row(name: str, make: Callable[[], il.Learner], prompt: il.Prompt) -> str:
    """Compiles one learner for three steps and measures it, or says why it is refused."""
    try:
        learner = make()
        model = il.compile(learner, steps=3, like=prompt)
    except il.CompileError as error:
        reason = str(error.refusals[0]).replace("|", "\\|")
        return f"| {name} | refused | | | | {reason} |"
    truth = il.run(learner, prompt, steps=3)
    error = np.abs(model.iterates(prompt) - truth).max() / np.abs(truth).max()
    certificate = model.certificate
    bound = max((a.error for a in certificate.approximations), default=0.0)
    kind = "exact" if certificate.exact else f"splines to {bound:.0e}"
    neurons = model.transformer.blocks.mlp.b_in.shape[-1]
    return f"| {name} | {model.sections.step} | {model.width} | {neurons} | {error:.0e} | {kind} |"


def page() -> str:
    """The whole page."""
    rng = np.random.default_rng(0)
    head = "| | layers a step | width | widest MLP | measured error | operations |\n"
    head += "|---|---|---|---|---|---|\n"
    return (
        "# What compiles\n\n"
        "Written by `python docs/make_compiled.py`. Linear attention, ReGLU neurons, float64, "
        "three steps, `tolerance=1e-6`. The error is the largest difference from `il.run` "
        "over all steps and queries, relative to the largest prediction; *exact* means up to "
        "rounding and outside the ramps of jumps.\n\n"
        "## Optimisers, on a two-layer ReLU network with squared loss\n\n"
        + head
        + "\n".join(optimizer_rows(rng))
        + "\n\n## Algorithms\n\n"
        + head
        + "\n".join(algorithm_rows(rng))
        + "\n"
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    (HERE / "compiled.md").write_text(page())
