"""Models whose banks are mostly padding: small on disk, small in memory, the same when read."""

import tracemalloc

import equinox as eqx
import numpy as np
import optax
import pytest
import safetensors.numpy

import innerloop as il
from innerloop.compiler import packing
from innerloop.compiler.entries import bank_of, entries_of
from innerloop.compiler.packing import packed, unpacked
from innerloop.compiler.records import Misfit
from innerloop.models import MLP
from tests.compiler.cases import apply_mlp, prompt_of

WIDEST = 500_000
"""Neurons of the widest layer; a bank of them is 168 MB of zeros."""


def padded(model, widest=WIDEST):
    """The same model, padded as if one of its layers had many more neurons."""
    mlp = model.transformer.blocks.mlp
    r = model.width

    def wider(bank, shape):
        return bank_of(entries_of(bank), shape, "float64")

    def longer(bias):
        return np.pad(bias, ((0, 0), (0, widest - bias.shape[1])))

    wide = MLP(
        wider(mlp.W_in, (widest, r)),
        longer(mlp.b_in),
        wider(mlp.W_out, (r, widest)),
        mlp.b_out,
        wider(mlp.W_gate, (widest, r)),
        longer(mlp.b_gate),
        activation="reglu",
    )
    return eqx.tree_at(lambda m: m.transformer.blocks.mlp, model, wide)


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(3)
    prompt = prompt_of(rng)
    layers = [(rng.normal(size=(2, 3)), np.zeros(2))]
    return il.compile(il.learner(apply_mlp, layers, optimizer=optax.sgd(0.1)), steps=2, like=prompt)


def test_padding_takes_no_room(small, tmp_path):
    model = padded(small)
    dense = 3 * model.transformer.blocks.mlp.W_in.nbytes
    assert dense > 5e8
    tracemalloc.start()
    il.save(model, tmp_path / "model")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < dense / 3, "biases and ends of rows"
    assert sum(file.stat().st_size for file in (tmp_path / "model").iterdir()) < dense / 8
    again = il.load(tmp_path / "model")
    for name in ("W_in", "W_gate", "W_out"):
        before, after = (getattr(m.transformer.blocks.mlp, name) for m in (model, again))
        assert before.shape == after.shape and before.dtype == after.dtype
        for one, other in zip(entries_of(before), entries_of(after), strict=True):
            assert (one != other).nnz == 0


def test_a_packed_model_runs_as_before(small, rng, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "_LARGE", 1)
    prompt = prompt_of(rng)
    il.save(small, tmp_path / "model")
    names = safetensors.numpy.load_file(tmp_path / "model" / "model.safetensors")
    assert "transformer.blocks.mlp.W_in:values" in names
    assert "transformer.blocks.mlp.W_in" not in names
    again = il.load(tmp_path / "model")
    assert eqx.tree_equal(again, small, typematch=True)
    np.testing.assert_array_equal(again(prompt), small(prompt))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_bank_comes_back(dtype, rng, monkeypatch):
    monkeypatch.setattr(packing, "_LARGE", 1)
    bank = np.where(rng.random((3, 5, 7)) < 0.2, rng.normal(size=(3, 5, 7)), 0.0).astype(dtype)
    full, flat = rng.normal(size=(2, 3, 4)), rng.normal(size=(6, 5))
    found = unpacked(packed({"bank": bank, "full": full, "flat": flat}))
    assert set(packed({"full": full, "flat": flat})) == {"full", "flat"}
    for name, array in {"bank": bank, "full": full, "flat": flat}.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def shorter(part):
    return lambda tensors: tensors.update({f"X:{part}": tensors[f"X:{part}"][:-1]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("X:ends"), "lacks the tensor X:ends"),
        (lambda t: t.update({"X:ends": t["X:ends"] * 1.0}), "not those of a bank"),
        (shorter("shape"), "not those of a bank"),
        (shorter("ends"), r"do not fit in its shape \(2, 3, 4\)"),
        (shorter("values"), "do not fit in its shape"),
        (lambda t: t.update({"X:columns": t["X:columns"] + 4}), "do not fit in its shape"),
        (lambda t: t.update({"X:ends": t["X:ends"][::-1]}), "do not fit in its shape"),
        (lambda t: t.update({"X:shape": np.array([2, 3, -4])}), "not those of a bank"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, message, monkeypatch):
    monkeypatch.setattr(packing, "_LARGE", 1)
    tensors = packed({"X": np.eye(3, 4)[None] * np.array([1.0, 2.0])[:, None, None]})
    change(tensors)
    with pytest.raises(Misfit, match=message):
        unpacked(tensors)
