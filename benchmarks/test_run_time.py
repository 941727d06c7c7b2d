"""How long a prompt takes, beside the same training by `il.run`: the digits demo."""

import functools

import pytest

import innerloop as il
from benchmarks.contenders import compiled, direct
from benchmarks.problems import digits, kernel_learner, learner

pytestmark = pytest.mark.filterwarnings("ignore::innerloop.compiler.RunWarning")
SIZES = (64, 32, 10)
STEPS = {"momentum": 100, "Adam": 20}


@functools.cache
def model_of(rule):
    return il.compile(learner(SIZES, rule), steps=STEPS[rule], like=digits())


@pytest.mark.parametrize("rule", STEPS)
def test_direct(benchmark, rule):
    run = direct(learner(SIZES, rule), digits(), STEPS[rule])
    benchmark.pedantic(run, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("rule", STEPS)
def test_compiled(benchmark, rule):
    benchmark.pedantic(compiled(model_of(rule), digits()), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("rule", STEPS)
def test_iterates(benchmark, rule):
    model, prompt = model_of(rule), digits()
    benchmark.pedantic(lambda: model.iterates(prompt), rounds=3, warmup_rounds=1)


def test_compiled_dense(benchmark):
    call = compiled(model_of("momentum"), digits(), dense=True)
    benchmark.pedantic(call, rounds=1, warmup_rounds=1)


def test_kernel(benchmark):
    prompt = digits()
    model = il.compile(kernel_learner(), steps=20, like=prompt)
    benchmark.pedantic(compiled(model, prompt), rounds=3, warmup_rounds=1)


def test_kernel_direct(benchmark):
    run = direct(kernel_learner(), digits(), 20)
    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
