import numpy as np

import innerloop as il
from innerloop.tokens import (
    CONTEXT_ROLE,
    QUERY_ROLE,
    READ_ROLES,
    REGISTER_ROLE,
    ROLES,
    SINK_ROLE,
    data_tokens,
)


def test_context_first_then_queries_with_targets_of_zero(rng):
    x, y, xq = (rng.normal(size=shape) for shape in [(5, 3), (5, 2), (7, 3)])
    tokens, targets, is_context = data_tokens(il.Prompt(x, y, xq))
    np.testing.assert_array_equal(tokens, np.vstack([x, xq]))
    np.testing.assert_array_equal(targets, np.vstack([y, np.zeros((7, 2))]))
    np.testing.assert_array_equal(is_context, [True] * 5 + [False] * 7)


def test_tokens_have_the_widest_precision_of_the_prompt(rng):
    x, y = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=(5, 2))
    tokens, targets, _ = data_tokens(il.Prompt(x, y, x))
    assert tokens.dtype == targets.dtype == np.float64


def test_queries_alone_are_never_read():
    in_order = CONTEXT_ROLE, QUERY_ROLE, REGISTER_ROLE, SINK_ROLE
    assert [ROLES[role] for role in in_order] == list(ROLES)
    assert [name for name, read in zip(ROLES, READ_ROLES, strict=True) if not read] == ["query"]
