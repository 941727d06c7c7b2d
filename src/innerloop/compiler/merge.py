r"""Fewer heads that do the same, within one half-layer.

- Heads with one value that add to the same atoms become one: `[q1; q2] . [k1; k2]`.
- Heads with one query and one key become one that carries both values.

Axes: `k` key size, `v` value size.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from innerloop.compiler.forms import Form, content, eye_at, matrix
from innerloop.compiler.graph import Head
from innerloop.compiler.wiring import Wired


def merged(operations: Sequence[Wired]) -> list[Wired]:
    """The operations of one half-layer with fewer heads."""
    return _by_family(
        _by_family(operations, _same_value, _scores_added), _same_key, _values_stacked
    )


def _by_family(
    operations: Sequence[Wired],
    identity: Callable[[Wired], Hashable],
    join: Callable[[list[Wired]], Wired],
) -> list[Wired]:
    families: dict[Hashable, list[Wired]] = {}
    for item in operations:
        families.setdefault(identity(item), []).append(item)
    return [join(family) if len(family) > 1 else family[0] for family in families.values()]


def _same_value(item: Wired) -> Hashable:
    head = item.operation
    if not isinstance(head, Head) or head.kernel.name != "linear":
        return id(item)
    targets = tuple((atom.serial, content(weights)) for atom, weights in item.targets)
    return head.value.key, head.mean, targets, head.query.tokens


def _same_key(item: Wired) -> Hashable:
    head = item.operation
    if not isinstance(head, Head):
        return id(item)
    return head.query.key, head.key.key, head.mean, head.kernel


def _heads(family: list[Wired]) -> list[Head]:
    return [item.operation for item in family if isinstance(item.operation, Head)]


def _scores_added(family: list[Wired]) -> Wired:
    heads = _heads(family)
    together = replace(
        heads[0],
        query=Form.stack([head.query for head in heads]),
        key=Form.stack([head.key for head in heads]),
        largest=sum(head.largest for head in heads),
        computes=_joined(heads),
    )
    return replace(family[0], operation=together)


def _values_stacked(family: list[Wired]) -> Wired:
    heads = _heads(family)
    total = sum(head.value.size for head in heads)
    targets, start = [], 0
    for item, head in zip(family, heads, strict=True):
        pick = matrix(eye_at(total, head.value.size, start).T)
        targets += [(atom, matrix(weights @ pick)) for atom, weights in item.targets]
        start += head.value.size
    together = replace(
        heads[0], value=Form.stack([head.value for head in heads]), computes=_joined(heads)
    )
    return replace(family[0], operation=together, targets=tuple(targets))


def _joined(heads: list[Head]) -> str:
    return ", ".join(dict.fromkeys(head.computes for head in heads if head.computes))
