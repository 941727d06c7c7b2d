"""Specifications such as `adam:1e-3,b1=0.8`: a name, and settings by place or by name; no JAX."""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from innerloop.cli.errors import UserError


@dataclass(frozen=True)
class Setting:
    """A number that a specification may give.

    Args:
        name: What it is called.
        condition: What it must be, in words.
        holds: Whether a number is so.
    """

    name: str
    condition: str
    holds: Callable[[float], bool]


@runtime_checkable
class Rule(Protocol):
    """What a name in a registry stands for: at least which settings it needs and takes."""

    @property
    def required(self) -> tuple[Setting, ...]:
        """Settings that must be given, first."""
        ...

    @property
    def optional(self) -> tuple[Setting, ...]:
        """Settings that may be given after them, in this order or as `name=value`."""
        ...


def positive(name: str) -> Setting:
    """A setting above zero."""
    return Setting(name, "positive", lambda value: value > 0)


def fraction(name: str) -> Setting:
    """A setting from zero to less than one, such as a decay."""
    return Setting(name, "at least 0 and below 1", lambda value: 0 <= value < 1)


def inside(name: str) -> Setting:
    """A setting strictly between zero and one."""
    return Setting(name, "above 0 and below 1", lambda value: 0 < value < 1)


def not_negative(name: str) -> Setting:
    """A setting of at least zero."""
    return Setting(name, "at least 0", lambda value: value >= 0)


def usage(name: str, rule: Rule) -> str:
    """How a specification is written, optional settings in brackets.

    Example:
        >>> from innerloop.cli.optimizers import OPTIMIZERS
        >>> usage("momentum", OPTIMIZERS["momentum"]), usage("adam", OPTIMIZERS["adam"])
        ('momentum:RATE,MOMENTUM', 'adam:RATE[,B1,B2,EPS]')
    """
    required = ",".join(setting.name.upper() for setting in rule.required)
    optional = ",".join(setting.name.upper() for setting in rule.optional)
    if not required:
        return f"{name}[:{optional}]" if optional else name
    return f"{name}:{required}" + (f"[,{optional}]" if optional else "")


def parse_settings(
    option: str, kind: str, text: str, rules: Mapping[str, Rule]
) -> tuple[str, tuple[tuple[str, float], ...]]:
    """Reads a specification.

    Args:
        option: The option it was given to, such as `--optimizer`.
        kind: What it names, such as `an optimiser`.
        text: What was given.
        rules: What there is, by name.

    Returns:
        The name, and the settings given, in the rule's order.

    Raises:
        UserError: If the name is unknown, or a setting is missing, unknown, not a finite number or
            out of range.
    """
    name, colon, rest = text.partition(":")
    if name not in rules:
        close = difflib.get_close_matches(name, rules, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        known = ", ".join(usage(k, r) if len(rules) < 12 else k for k, r in rules.items())
        raise UserError(f"{option} {text} is not {kind}; there are {known}{hint}")
    rule = rules[name]
    settings = (*rule.required, *rule.optional)
    form = f"write {usage(name, rule)}"
    given: dict[str, float] = {}
    for place, word in enumerate(rest.split(",") if colon else ()):
        key, equals, value = (part.strip() for part in word.rpartition("="))
        if not equals:
            if place >= len(settings):
                count = rest.count(",") + 1
                raise UserError(
                    f"{option} {text} has {count} setting{'s' if count > 1 else ''} where {name} "
                    f"takes {len(settings) or 'none'}; {form}"
                )
            key = settings[place].name
        number = _finite(value)
        if key not in [setting.name for setting in settings]:
            raise UserError(f"{option} {text} sets {key!r}, which {name} has not; {form}")
        if key in given:
            raise UserError(f"{option} {text} sets {key} twice; {form}")
        if number is None:
            what = f"is {value!r}, not a finite number" if value else "is left empty"
            raise UserError(f"{option} {text}: the {key} {what}; {form}")
        given[key] = number
    for setting in rule.required:
        if setting.name not in given:
            raise UserError(f"{option} {text} lacks its {setting.name}; {form}")
    for setting in settings:
        if setting.name in given and not setting.holds(given[setting.name]):
            raise UserError(
                f"{option} {text}: the {setting.name} is {given[setting.name]:g}, and must be "
                f"{setting.condition}"
            )
    return name, tuple((s.name, given[s.name]) for s in settings if s.name in given)


def written(name: str, given: tuple[tuple[str, float], ...], rule: Rule) -> str:
    """A specification as it could have been given: required settings by place, others by name."""
    needed = {setting.name for setting in rule.required}
    words = [f"{v:.17g}" if float(f"{v:g}") != v else f"{v:g}" for _, v in given]
    parts = [w if k in needed else f"{k}={w}" for (k, _), w in zip(given, words, strict=True)]
    return f"{name}:{','.join(parts)}" if parts else name


def _finite(text: str) -> float | None:
    """The finite number that `text` writes, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
