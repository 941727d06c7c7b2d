"""Results survive the disk to the last bit, and say what the model and the learner did."""

import dataclasses

import numpy as np
import pytest

from innerloop.report import load_results, save_results
from innerloop.report.measure import versions


def assert_same(a, b):
    """Equality of nested dataclasses with arrays in them."""
    assert type(a) is type(b)
    if dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


def test_results_are_read_as_they_were_written(results, tmp_path):
    save_results(results, tmp_path)
    assert_same(load_results(tmp_path), results)


def test_a_changed_number_is_seen(results, tmp_path):
    save_results(results, tmp_path)
    loaded = load_results(tmp_path)
    loaded.studies[0].curves[1, 2, 0] += 1e-9
    with pytest.raises(AssertionError):
        assert_same(loaded, results)


def test_missing_results_are_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"results\.json"):
        load_results(tmp_path)


def test_a_study_says_what_the_model_is(measured):
    model, study = measured
    assert study.sizes == {
        "n": 17, "m": 7, "d": 4, "p": 2,
        "depth": model.depth, "width": model.width, "steps": 3,
    }  # fmt: skip
    assert study.layers[-1] == model.depth
    blocks = study.blocks
    assert blocks["init"] + 3 * blocks["step"] + blocks["read-out"] == model.depth
    assert [row.computes for row in study.anatomy] == [r.computes for r in model.anatomy().rows]
    assert len(study.lifetimes) == len(model.subspaces)
    assert study.difference.max() < 1e-12
    np.testing.assert_allclose(study.transformer_test, study.direct_test, rtol=1e-10)


def test_versions_name_what_decides_a_result():
    assert {"python", "innerloop", "jax", "numpy"} <= set(versions())
