"""How the time of a prompt grows with examples, width and depth."""

import functools

import pytest

import innerloop as il
from benchmarks.contenders import compiled
from benchmarks.problems import digits, learner

EXAMPLES = (500, 1000, 2000, 4000, 8000)
WIDTHS = (16, 32, 64, 128)
LAYERS = (1, 2, 4, 6)


@functools.cache
def demo():
    return il.compile(learner((64, 32, 10)), steps=50, like=digits())


@pytest.mark.parametrize("n", EXAMPLES)
def test_examples(benchmark, n):
    benchmark.pedantic(compiled(demo(), digits(n, 7)), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("width", WIDTHS)
def test_width(benchmark, width):
    prompt = digits()
    model = il.compile(learner((64, width, 10)), steps=50, like=prompt)
    benchmark.pedantic(compiled(model, prompt), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("layers", LAYERS)
def test_depth(benchmark, layers):
    prompt = digits()
    model = il.compile(learner((64, *[32] * (layers - 1), 10)), steps=50, like=prompt)
    benchmark.pedantic(compiled(model, prompt), rounds=3, warmup_rounds=1)
