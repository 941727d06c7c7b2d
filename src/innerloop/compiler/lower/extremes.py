"""The largest and the smallest entry of an array: a knock-out, two by two."""

import numpy as np

from innerloop.compiler.lower.elementwise import extreme, where_it_lives
from innerloop.compiler.lower.layout import settle
from innerloop.compiler.lower.shared import Context
from innerloop.compiler.lower.structure import moved
from innerloop.compiler.values import Static, Value, size


def lower_extreme(eqn, inputs: list[Value], context: Context) -> list[Value]:
    """`reduce_max` and `reduce_min`; for `r` entries, `log2(r)` layers.

    Inside a softmax or a logsumexp the maximum is only a shift that cancels: there it is zero.
    """
    value, shape = inputs[0], eqn.outvars[0].aval.shape
    if context.shift_cancels:
        return [Static(np.zeros(shape))]
    name = eqn.primitive.name.removeprefix("reduce_")
    axes = eqn.params["axes"]
    positions = np.arange(size(value.shape)).reshape(value.shape)
    kept = [axis for axis in range(positions.ndim) if axis not in axes]
    grid = positions.transpose([*kept, *axes]).reshape(size(shape), -1)
    entries: list[Value] = [moved(value, column, context) for column in grid.T]
    tokens, row = where_it_lives(inputs), (size(shape),)
    while len(entries) > 1:
        pairs = [entries[k : k + 2] for k in range(0, len(entries), 2)]
        entries = [
            settle(extreme(name, *pair, row, tokens, context), context)
            if len(pair) == 2
            else pair[0]
            for pair in pairs
        ]
    return [moved(entries[0], np.arange(size(shape)).reshape(shape), context)]
