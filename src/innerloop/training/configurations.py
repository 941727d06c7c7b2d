"""Frozen dataclasses as JSON and back: what a run was, so that it can be run again.

A dataclass becomes an object with its name as `kind` and its fields; `None` and tuples become
`null` and lists. Reading checks every field against its annotation, and says where a mistake is.
"""

import dataclasses
import types
import typing
from typing import Any, Literal

Plain = dict[str, Any] | list[Any] | str | int | float | bool | None


class ConfigurationError(ValueError):
    """A configuration that cannot be read: the message says where, what was given and needed."""


def encode(value: object) -> Plain:
    """A dataclass of plain values as JSON data.

    Example:
        >>> from innerloop.training.config import Curriculum
        >>> encode(Curriculum(every=10))
        {'kind': 'Curriculum', 'dims': [5, 1], 'points': [10, 2], 'every': 10}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ConfigurationError(f"{value!r} cannot be written to a configuration.")


def decode(data: Plain, expected: Any, kinds: dict[str, type], place: str = "run") -> Any:
    """JSON data as a value of a type.

    Args:
        data: What was read.
        expected: The annotation that it must satisfy; a class admits its subclasses.
        kinds: The dataclasses that may be named, by name.
        place: Where in the configuration the data stand, for messages.

    Returns:
        The value.

    Raises:
        ConfigurationError: If a field is missing, unknown or of another type.
    """
    origin, options = typing.get_origin(expected), typing.get_args(expected)
    if origin in (typing.Union, types.UnionType):
        return _one_of(data, options, kinds, place)
    if origin is Literal:
        if data not in options:
            raise _mistake(place, data, " or ".join(map(repr, options)))
        return data
    if origin is tuple:
        return _tuple(data, options, kinds, place)
    if isinstance(expected, type) and dataclasses.is_dataclass(expected):
        return _dataclass(data, expected, kinds, place)
    if expected is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, expected) or (isinstance(data, bool) and expected is not bool):
        raise _mistake(place, data, {int: "an integer", float: "a number"}.get(expected, expected))
    return data


def override(data: Plain, path: str, value: Plain) -> None:
    """Sets one field of encoded data, in place: `task.n` is the field `n` of the field `task`.

    Raises:
        ConfigurationError: If there is no such field.
    """
    *parents, last = path.split(".")
    for depth, name in enumerate([*parents, last]):
        if not isinstance(data, dict) or name not in data:
            within = ".".join([*parents, last][:depth]) or "the run"
            known = ", ".join(k for k in data if k != "kind") if isinstance(data, dict) else ""
            raise ConfigurationError(
                f"{path}: {within} has no field {name!r}"
                + (f"; it has {known}." if known else ", because it is no group of fields.")
            )
        if depth < len(parents):
            data = data[name]
    typing.cast(dict, data)[last] = value


def _one_of(data: Plain, options: tuple, kinds: dict[str, type], place: str) -> Any:
    if data is None and type(None) in options:
        return None
    failures = []
    for option in options:
        if option is not type(None):
            try:
                return decode(data, option, kinds, place)
            except ConfigurationError as error:
                failures.append(error)
    raise failures[0]


def _tuple(data: Plain, options: tuple, kinds: dict[str, type], place: str) -> tuple:
    if not isinstance(data, list):
        raise _mistake(place, data, "a list")
    if len(options) == 2 and options[1] is Ellipsis:
        options = (options[0],) * len(data)
    if len(options) != len(data):
        raise _mistake(place, data, f"a list of {len(options)}")
    pairs = zip(data, options, strict=True)
    return tuple(decode(d, o, kinds, f"{place}[{i}]") for i, (d, o) in enumerate(pairs))


def _dataclass(data: Plain, expected: type, kinds: dict[str, type], place: str) -> Any:
    if not isinstance(data, dict):
        raise _mistake(place, data, f"an object, such as {{'kind': {expected.__name__!r}}}")
    name = data.get("kind", expected.__name__)
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None or not issubclass(kind, expected):
        known = sorted(k for k, v in kinds.items() if issubclass(v, expected))
        raise _mistake(f"{place}.kind", name, " or ".join(known))
    annotations = typing.get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]
    for name in data:
        if name != "kind" and name not in known:
            raise ConfigurationError(
                f"{place}: {kind.__name__} has no field {name!r}; it has {', '.join(known)}."
            )
    fields = {
        name: decode(value, annotations[name], kinds, f"{place}.{name}")
        for name, value in data.items()
        if name != "kind"
    }
    try:
        return kind(**fields)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{place}: {error}") from error


def _mistake(place: str, given: object, needed: object) -> ConfigurationError:
    return ConfigurationError(f"{place} is {given!r}, and must be {needed}.")
