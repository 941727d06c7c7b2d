r"""A dataclass as JSON and named tensors, and back again, told by its annotations.

    taken_apart   value          -> record, tensors          tensors are named by the path of fields
    put_together  kind, record, tensors -> value             shapes must agree axis by axis

What a file says is only ever data: which classes are made is decided by the annotations of the
class that is asked for. JSON has no infinities, so these are written as words.
Axes: `l` and `r` are the same in the whole model; every other axis within its own class.
"""

import dataclasses
import json
import math
import types
import typing
from typing import Any, Literal, Union

import jax
import jaxtyping
import numpy as np

from innerloop.tokens import ROLES

Tensors = dict[str, np.ndarray]
Axes = dict[str, tuple[tuple[int, ...], str]]
_EVERYWHERE = ("l", "r")


class Misfit(ValueError):
    """A record or a tensor is not what the annotations ask for."""


def taken_apart(value: object, tensors: Tensors, name: str = "") -> object:
    """The value as JSON; its arrays go to `tensors`.

    Raises:
        TypeError: If it holds something that is neither data nor a dataclass of data.
    """
    match value:
        case np.ndarray() | jax.Array():
            tensors[name] = np.asarray(value)
            return None
        case None | bool() | str():
            return value
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return [taken_apart(v, tensors, _joined(name, k)) for k, v in enumerate(value)]
    if not _is_record(type(value)):
        raise TypeError(f"{name}: a {type(value).__name__} cannot be saved.")
    parts = {}
    for field in _hints(type(value)):
        part = getattr(value, field)
        record = taken_apart(part, tensors, _joined(name, field))
        if not isinstance(part, np.ndarray | jax.Array):
            parts[field] = record
    return parts


def put_together(kind: Any, record: object, tensors: Tensors, shared: Axes, name: str = "") -> Any:
    """A value of the annotated kind; takes what it uses out of `tensors`.

    Args:
        kind: A class or another annotation.
        record: What `taken_apart` returned.
        tensors: The arrays by name; those used are removed.
        shared: The axes known so far, extended on the way.
        name: The path of fields that led here.

    Raises:
        Misfit: If the record lacks something, has too much, or is of another kind.
    """
    if _is_record(kind):
        return _record(kind, record, tensors, shared, name)
    arms, origin = typing.get_args(kind), typing.get_origin(kind)
    if origin in (Union, types.UnionType):
        if record is None and type(None) in arms:
            return None
        arm = next(arm for arm in arms if arm is not type(None))
        return put_together(arm, record, tensors, shared, name)
    if origin is tuple:
        items = _of_type(record, list, name)
        kinds = [arms[0]] * len(items) if arms[-1:] == (...,) else arms
        if len(items) != len(kinds):
            raise Misfit(f"{name} must have {len(kinds)} entries; it has {len(items)}.")
        return tuple(
            put_together(k, item, tensors, shared, _joined(name, i))
            for i, (k, item) in enumerate(zip(kinds, items, strict=True))
        )
    if origin is Literal:
        if record not in arms:
            raise Misfit(f"{name} must be one of {', '.join(map(str, arms))}; it is {record!r}.")
        return record
    if kind is float and record in ("inf", "-inf", "nan"):
        return float(str(record))
    if kind is float and isinstance(record, int) and not isinstance(record, bool):
        return float(record)
    return _of_type(record, kind, name)


def as_json(record: object) -> bytes:
    """A record as JSON in which a row of a table is a line."""
    return (_pretty(record, "") + "\n").encode()


def _pretty(value: object, margin: str) -> str:
    inner = margin + "  "
    if isinstance(value, dict) and value:
        rows = [f"{json.dumps(key)}: {_pretty(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(inner + row for row in rows) + f"\n{margin}}}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        rows = [json.dumps(item, allow_nan=False) for item in value]
        return "[\n" + ",\n".join(inner + row for row in rows) + f"\n{margin}]"
    return json.dumps(value, allow_nan=False)


def _record(kind: Any, record: object, tensors: Tensors, shared: Axes, name: str) -> Any:
    parts, hints = _of_type(record, dict, name), _hints(kind)
    own: Axes = {"roles": ((len(ROLES),), "the kinds of tokens")}
    arrays = {field: hint for field, hint in hints.items() if _is_array(hint)}
    absent = {field for field, hint in arrays.items() if parts.get(field, ...) is None}
    expected = {field for field in hints if field not in arrays} | absent
    for words, fields in (("lacks", expected - parts.keys()), ("has", parts.keys() - expected)):
        if fields:
            what = ", ".join(_joined(name, field) for field in sorted(fields))
            raise Misfit(f"it {words} {what}.")
    made = {}
    for field, hint in hints.items():
        path = _joined(name, field)
        if field in arrays and field not in absent:
            made[field] = _tensor(hint, tensors, shared, own, path)
        else:
            made[field] = put_together(hint, parts[field], tensors, shared, path)
    try:
        return kind(**made)
    except ValueError as error:
        raise Misfit(f"{name or kind.__name__}: {error}") from error


def _tensor(hint: Any, tensors: Tensors, shared: Axes, own: Axes, name: str) -> np.ndarray:
    """The tensor of this name, if its axes agree with the others."""
    if name not in tensors:
        raise Misfit(f"it lacks the tensor {name}.")
    array = tensors.pop(name)
    arm = next(a for a in (typing.get_args(hint) or (hint,)) if _is_array(a))
    wanted = getattr(arm, "dim_str", None)
    if wanted is None:
        return array
    if array.dtype.name not in arm.dtypes:
        raise Misfit(f"the tensor {name} holds {array.dtype}.")
    letters, sizes = wanted.split(), list(array.shape)
    stretched = [k for k, letter in enumerate(letters) if letter.startswith("*")]
    fixed = len(letters) - len(stretched)
    if len(sizes) < fixed or (not stretched and len(sizes) != fixed):
        raise Misfit(f"the tensor {name} has shape {array.shape}; its axes must be `{wanted}`.")
    for letter in letters:
        count = len(array.shape) - fixed if letter.startswith("*") else 1
        here, sizes = tuple(sizes[:count]), sizes[count:]
        axis = letter.removeprefix("*")
        known = shared if axis in _EVERYWHERE else own
        size, where = known.setdefault(axis, (here, name))
        if size != here:
            raise Misfit(
                f"the tensor {name} has shape {array.shape}; its axis {axis} of `{wanted}` must be "
                f"{', '.join(map(str, size))}, as in {where}."
            )
    return array


def _of_type(record: object, kind: type, name: str) -> Any:
    if type(record) is not kind:
        found = type(record).__name__
        raise Misfit(f"{name or 'the record'} must be a JSON {kind.__name__}; it is a {found}.")
    return record


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"))


def _is_array(hint: Any) -> bool:
    """Whether an annotation asks for an array, or for an array or nothing."""
    kinds = (jaxtyping.AbstractArray, np.ndarray, jax.Array)
    arms = [arm for arm in typing.get_args(hint) if arm is not type(None)] or [hint]
    return all(isinstance(arm, type) and issubclass(arm, kinds) for arm in arms)


def _hints(kind: Any) -> dict[str, Any]:
    """The annotations of a class's fields, in order."""
    if hasattr(kind, "_fields"):
        names = kind._fields
    else:
        names = [field.name for field in dataclasses.fields(kind) if field.init]
    hints = typing.get_type_hints(kind)
    return {name: hints[name] for name in names}


def _joined(name: str, field: object) -> str:
    return f"{name}.{field}" if name else str(field)
