"""What each pass of the compiler is worth: models compiled with it and without it.

No pass can be switched off by users; here its function is replaced by one that does nothing. The
model without it must still predict what `il.run` predicts.
"""

import importlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from unittest import mock

import jax
import numpy as np
import optax

import innerloop as il
from benchmarks.problems import network
from innerloop.compiler import Compiled
from innerloop.compiler.entries import entries_of
from innerloop.compiler.errors import CompileError
from innerloop.compiler.expansion import Expansion
from innerloop.compiler.forms import Atom, Form, eye, same
from innerloop.compiler.functions import Function
from innerloop.compiler.graph import Apply, Gate, Graph, Head, Operation, Product

STEPS = 3
Changes = Sequence[tuple[object, str, object]]


def module(name: str) -> object:
    """A module of the compiler."""
    return importlib.import_module(f"innerloop.compiler.{name}")


def each_apart(self: Graph, identity: object, operation: Operation) -> Atom:
    """Operations that compute the same thing stay several."""
    del identity
    self.operations.append(operation)
    return operation.out


def unfolded(operations: Sequence[Operation]) -> list[Operation]:
    """Every linear map that an operation reads through is an operation of its own."""
    made: list[Operation] = []

    def alone(form: Form) -> Form:
        whole = len(form.terms) == 1 and all(
            same(weights, eye(atom.size)) for atom, weights in form.terms.items()
        )
        if whole or not any(atom.name not in ("one", "name") for atom in form.terms):
            return form
        out = Atom("linear map", form.tokens, form.size)
        made.append(Apply(out, form, Function.affine(1.0)))
        return Form.of(out)

    for operation in operations:
        match operation:
            case Head():
                names = ("query", "key", "value")
            case Apply():
                names = ("base",)
            case Product():
                names = ("left", "right")
            case Gate():
                names = ("base", "value")
        forms = {name: alone(getattr(operation, name)) for name in names}
        made.append(replace(operation, **forms))
    return made


def _expanded(self: Expansion, operations: Sequence[Operation]) -> list:
    return EXPAND(self, unfolded(operations))


def _to_the_end(plan, fixed, end):
    born, dies = LIFETIMES(plan, fixed, end)
    return born, dict.fromkeys(dies, end)


EXPAND = Expansion.expand
LIFETIMES = module("allocate")._lifetimes
PASSES: dict[str, Changes] = {
    "all passes": (),
    "without: what is computed twice is computed once": ((Graph, "_once", each_apart),),
    "without: linear maps are folded into their readers": ((Expansion, "expand", _expanded),),
    "without: results of one reader share an accumulator": (
        (module("wiring"), "_accumulated", lambda *given: given),
    ),
    "without: updates are written by who computes them": (
        (module("wiring"), "_direct", lambda *given: set()),
    ),
    "without: heads of equal scores or values are one": ((module("schedule"), "merged", list),),
    "without: results wait until they are read": (
        (module("schedule")._Plan, "delay", lambda self: None),
    ),
    "without: dead subspaces are used again": ((module("allocate"), "_lifetimes", _to_the_end),),
    "without: schedules that are lines are folded": ((module("lower.layout"), "_LINE", -1.0),),
}
DEPTH: dict[str, Changes] = {
    "all passes": (),
    "without: the dual form": ((module("lowered"), "dual", lambda programs: programs),),
    "without: small matrices are copied": (
        (module("lowered"), "copied", lambda programs, depth: programs),
    ),
    "without: products take functions in": (
        (module("expansion"), "fused_products", lambda operations: {}),
    ),
    "without: steps begin ahead": (
        (module("compile"), "ahead", lambda blocks, programs, steps: blocks),
        (module("outline"), "ahead", lambda blocks, programs, steps: blocks),
    ),
    "without: gates are opened by heads": (
        (module("compile"), "gated_heads", lambda blocks, flags, steps: blocks),
    ),
}
"""Passes of `optimize='depth'`, in ReLU attention, which has them all."""


def programs() -> dict[str, il.Learner]:
    """The learners that are compiled."""
    rng = np.random.default_rng(0)

    def params(*sizes):
        return [
            (rng.normal(size=(b, a)) / np.sqrt(a), np.zeros(b))
            for a, b in zip(sizes, sizes[1:], strict=False)
        ]

    def smooth(layers, x):
        for weights, bias in layers[:-1]:
            x = jax.numpy.tanh(weights @ x + bias)
        return layers[-1][0] @ x + layers[-1][1]

    def rectified(weights, x):
        for w in weights:
            x = jax.nn.relu(w @ x)
        return x

    def into_a_box(updates, weights):
        return jax.tree.map(
            lambda g, w: jax.numpy.clip(w - 0.1 * g, -0.8, 0.8) - w, updates, weights
        )

    return {
        "4-6-5-2 ReLU network, momentum": il.learner(
            network, params(4, 6, 5, 2), optimizer=optax.sgd(0.1, momentum=0.9)
        ),
        "4-6-2 tanh network, clipped SGD": il.learner(
            smooth,
            params(4, 6, 2),
            optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
        ),
        "linear model, gradient descent": il.algorithms.gradient_descent(0.5),
        "conjugate gradients": il.algorithms.conjugate_gradient(),
        "example by example": il.algorithms.recursive_least_squares(0.5),
        "4-5-2 network, ReLU output, in a box": il.learner(
            rectified, [w for w, _ in params(4, 5, 2)], optimizer=optax.stateless(into_a_box)
        ),
    }


def prompt() -> il.Prompt:
    """Eleven examples of four covariates and two targets, and three queries."""
    rng = np.random.default_rng(1)
    x, xq = rng.uniform(-1, 1, (11, 4)), rng.uniform(-1, 1, (3, 4))
    return il.Prompt(x, x @ rng.normal(size=(4, 2)), xq)


def built(learner: il.Learner, changes: Changes, **options: str) -> Compiled | None:
    """A model compiled with some functions replaced; None where the option does not apply."""
    with ExitStack() as stack:
        for where, name, instead in changes:
            stack.enter_context(mock.patch.object(where, name, instead))
        try:
            return il.compile(learner, steps=STEPS, like=prompt(), **options)
        except CompileError:
            return None


def sizes(model: Compiled | None) -> str:
    """Layers of a step, width, and heads and neurons that are not padding."""
    if model is None:
        return "-"
    heads = 0
    for attention in model.transformer.blocks.attention:
        heads += int(np.asarray(attention.W_O).any(axis=(2, 3)).sum())
    mlp = model.transformer.blocks.mlp
    assert mlp is not None
    neurons = sum(int((np.diff(layer.tocsc().indptr) > 0).sum()) for layer in entries_of(mlp.W_out))
    return f"{model.sections.step} / {model.width} / {heads} / {neurons:,}"


def checked(model: Compiled | None, learner: il.Learner) -> Compiled | None:
    """The model, if its predictions are those of `il.run`."""
    if model is not None:
        with jax.enable_x64(True):
            expected = np.asarray(il.run(learner, prompt(), steps=STEPS))[-1]
        gap = np.abs(model(prompt()) - expected).max()
        if not gap < 1e-5 * max(1.0, np.abs(expected).max()):
            raise AssertionError(f"without a pass the model is wrong by {gap}.")
    return model


def rows() -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the table."""
    learners = programs()
    made = []
    for name, changes in PASSES.items():
        cells = (sizes(checked(built(learner, changes), learner)) for learner in learners.values())
        made.append((name, *cells))
    for name, changes in DEPTH.items():
        options = {"optimize": "depth", "attention": "relu"}
        models = (built(learner, changes, **options) for learner in learners.values())
        cells = (
            sizes(checked(model, learner))
            for model, learner in zip(models, learners.values(), strict=True)
        )
        made.append((f"`optimize='depth'`, {name}", *cells))
    return ("layers a step / width / heads / neurons", *learners), made
