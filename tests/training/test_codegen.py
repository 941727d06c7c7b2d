"""Code without fusion emitters: where it is asked for, and that it says the same."""

import jax
import numpy as np
import pytest

from innerloop.models import GPT2, SelfAttention
from innerloop.tasks import von_oswald
from innerloop.training import TrainingConfig, codegen, loop, train

SMALL, LARGE = (jax.ShapeDtypeStruct((rows, 2003), float) for rows in (3, 2003))


@pytest.fixture
def afresh():
    """What is known of XLA is asked again, before and after."""
    codegen._known.cache_clear()
    yield
    codegen._known.cache_clear()


def test_small_runs_go_without_and_large_ones_do_not():
    assert codegen.compiler_options({"a": SMALL, "b": SMALL})
    assert codegen.compiler_options({"a": SMALL, "b": LARGE}) == {}


@pytest.mark.parametrize(
    ("architecture", "goes_without"),
    [(SelfAttention(), True), (SelfAttention(mlp=2), False), (GPT2(1, 2, 6), True)],
)
def test_neurons_keep_them_but_those_of_small_decoders(architecture, goes_without):
    model = architecture(d=3, p=1, key=jax.random.key(0))
    assert bool(codegen.compiler_options(model)) == goes_without


def test_what_xla_does_not_know_is_not_asked_for(afresh, monkeypatch):
    monkeypatch.setattr(codegen, "_LIGHT", {"xla_cpu_has_no_such_option": False})
    assert codegen.compiler_options(SMALL) == {}


def test_training_comes_to_the_same_with_either(monkeypatch):
    config = TrainingConfig(steps=6, batch=7, evaluate_every=3)
    task = von_oswald(n=5, d=3)

    def weights():
        return jax.tree.leaves(train(SelfAttention(), task, config, seeds=(0, 1)).models)

    light = weights()
    monkeypatch.setattr(loop, "compiler_options", lambda _: {})
    for one, other in zip(light, weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
