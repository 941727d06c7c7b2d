"""Banks that are mostly zeros: ordinary dense arrays whose entries are remembered."""

import gc

import numpy as np
import pytest

from innerloop.compiler import entries
from innerloop.compiler.entries import bank_of, entries_of
from innerloop.compiler.forms import matrix


def layers_of(rng, shapes=((3, 4), (5, 2), (0, 4))):
    return [matrix(np.where(rng.random(s) < 0.4, rng.normal(size=s), 0.0)) for s in shapes]


@pytest.mark.parametrize("shape", [(5, 4), (5, 9)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("large", [0, 2**24])
def test_a_bank_is_its_layers_padded(shape, dtype, large, rng, monkeypatch):
    monkeypatch.setattr(entries, "_LARGE", large)
    layers = layers_of(rng)
    bank = bank_of(layers, shape, dtype)
    assert bank.shape == (3, *shape) and bank.dtype == dtype
    for block, layer, found in zip(bank, layers, entries_of(bank), strict=True):
        expected = np.zeros(shape, dtype)
        expected[: layer.shape[0], : layer.shape[1]] = layer.toarray()
        np.testing.assert_array_equal(block, expected)
        np.testing.assert_array_equal(found.toarray(), expected)


def test_entries_of_any_array_are_looked_for(rng):
    bank = np.where(rng.random((2, 6, 5)) < 0.3, rng.normal(size=(2, 6, 5)), 0.0)
    for array in (bank, np.asfortranarray(bank), bank.astype(np.float32)):
        for block, found in zip(array, entries_of(array), strict=True):
            np.testing.assert_array_equal(found.toarray(), block)


def test_what_is_remembered_cannot_change(rng):
    bank = bank_of(layers_of(rng), (5, 4), "float64")
    with pytest.raises(ValueError, match="read-only"):
        bank[0, 0, 0] = 1.0
    changed = np.array(bank)
    changed[0, 0, 0] = 7.0
    assert entries_of(changed)[0][0, 0] == 7.0
    assert entries_of(bank)[0] is entries_of(bank)[0]


def test_memory_goes_with_the_bank(rng):
    before = len(entries._MADE)
    bank = bank_of(layers_of(rng), (5, 4), "float64")
    assert len(entries._MADE) == before + 1
    del bank
    gc.collect()
    assert len(entries._MADE) == before
