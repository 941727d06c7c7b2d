"""Writes constructions.md: what each hand-written construction costs, and what the compiler makes.

python docs/make_constructions.py
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import innerloop as il
from innerloop.constructions import CONSTRUCTIONS, Entry

HERE = Path(__file__).parent
STEPS = 3
HEAD = """\
| | | statement | layers | sub-layers | width | heads | neurons | parts | error | compiled: layers \
| width | heads | neurons | error | attention |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
"""


def sizes(model) -> tuple[int, int, int, int]:
    """Layers, width, heads of the widest layer, neurons of the widest MLP that do something."""
    blocks = model.transformer.blocks
    heads = sum(np.any(a.W_V, axis=(2, 3)).astype(int).sum(1) for a in blocks.attention)
    neurons = 0 if blocks.mlp is None else int(np.any(blocks.mlp.W_out, axis=1).sum(1).max())
    return model.depth, model.width, int(np.max(heads)), neurons


def row(entry: Entry) -> str:
    """A construction for three steps, measured, and the compiler's model of the same learner."""
    prompt = entry.prompts(np.random.default_rng(11))
    learner, model = entry.algorithm(), entry.construct(STEPS)
    truth = il.run(learner, prompt, steps=STEPS)[-1]
    layers, width, heads, neurons = sizes(model)
    cells = [entry.name, entry.paper, entry.statement, layers, model.sublayers, width, heads]
    cells += [neurons, entry.parts or "-", f"{np.abs(model(prompt) - truth).max():.0e}"]
    try:
        compiled = il.compile(
            learner, steps=STEPS, like=prompt, optimize="depth", attention=entry.attention
        )
        error = f"{np.abs(compiled(prompt) - truth).max():.0e}"
        cells += [*sizes(compiled), error, entry.attention]
    except il.CompileError as refused:
        cells += [f"refused: {refused.refusals[0]}".replace("|", "\\|"), *[""] * 5]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def rows() -> Iterator[str]:
    """A row for each construction of the registry."""
    for entry in CONSTRUCTIONS:
        yield row(entry)


def page() -> str:
    """The whole page."""
    return (
        "# Constructions\n\n"
        "Written by `python docs/make_constructions.py`: weights written down by hand, as in the "
        "literature, and what the compiler makes of the same algorithm with `optimize='depth'`. "
        "Three steps, float64; "
        "*layers* are blocks of attention and MLP, *sub-layers* count each of the two as one, as "
        "several papers do; *heads* and *neurons* are those of the widest layer; *parts* are what "
        "an ordinary transformer does not have; the error is the largest difference from `il.run`. "
        "The compiler's attention is linear, or ReLU where the construction's is and a gate in a "
        "score saves a layer a step: `deep_softmax` is the same network with linear attention. In "
        "no row does the compiler need more layers than the literature, which a test holds it to."
        "\n\n" + HEAD + "\n".join(rows()) + "\n"
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    (HERE / "constructions.md").write_text(page())
