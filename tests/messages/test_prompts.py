"""What a user reads who gives a prompt that does not fit together."""

import jax.numpy as jnp
import numpy as np
import pytest

import innerloop as il


@pytest.mark.parametrize("array", [np.ones, jnp.ones], ids=["numpy", "jax"])
@pytest.mark.parametrize(
    ("x", "y", "xq", "message"),
    [
        ((5, 3), (5,), (7, 3), r"y \(5,\), xq \(7, 3\).*y\[:, None\]"),
        ((5, 3), (5, 2), (3,), r"xq \(3,\).*xq\[None\]"),
        ((5, 3), (11, 2), (7, 3), r"one row per context example.*x \(5, 3\), y \(11, 2\)"),
        ((5, 3), (5, 2), (7, 2), r"same number of covariates.*x \(5, 3\), .*xq \(7, 2\)"),
        ((0, 3), (0, 2), (7, 3), r"at least one context example.*x \(0, 3\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(array, x, y, xq, message):
    with pytest.raises(ValueError, match=message):
        il.Prompt(array(x), array(y), array(xq))
