"""How long it takes to compile a learner, and to get its first prediction."""

import pytest

import innerloop as il
from benchmarks.problems import digits, learner

WIDE = {layers: (64, *[64] * (layers - 1), 10) for layers in (1, 2, 4, 6)}


@pytest.mark.parametrize("layers", WIDE)
def test_compile(benchmark, layers):
    rule, prompt = learner(WIDE[layers], "SGD"), digits(n=100, m=10)
    benchmark.pedantic(lambda: il.compile(rule, steps=50, like=prompt), rounds=3)


@pytest.mark.parametrize("layers", WIDE)
def test_first_prediction(benchmark, layers):
    """The plan of the runner, JAX's tracing and XLA's compilation, after `il.compile`."""
    rule, prompt = learner(WIDE[layers], "SGD"), digits(n=100, m=10)

    def fresh():
        return (il.compile(rule, steps=50, like=prompt), prompt), {}

    benchmark.pedantic(lambda model, prompt: model(prompt), setup=fresh, rounds=3)
