"""Parsed JSON as the types that annotations name: exact, and refused by name where it is anything else.

Standard library only.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints


def typed(name: str, want: Any, value: Any) -> Any:
    """``value``, as ``json`` parsed it, as a ``want``: str, int, float, bool, a dataclass, a tuple, or one of those
    or None.

    Numbers are finite; an integer is fine where a float is wanted. Lists become tuples and objects dataclasses. Raises
    ``ValueError`` with a message that names the place, such as ``regions[2].pitch_deg``.
    """
    if isinstance(want, UnionType):
        (only,) = (t for t in get_args(want) if t is not NoneType)
        return None if value is None else typed(name, only, value)
    if get_origin(want) is tuple:
        return _tuple(name, get_args(want), value)
    if is_dataclass(want):
        return _object(name, want, value)
    if want is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**53 else math.inf
    if type(value) is not want or (want is float and not math.isfinite(value)):
        raise ValueError(f"{name} must be {want.__name__}, not {str(value)[:40]!r}.")
    return value


def plain(value: Any) -> Any:
    """``value`` as JSON would give it back: lists for tuples."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


@cache
def field_types(cls: Any) -> dict[str, Any]:
    """What a dataclass's annotations name, by field."""
    return get_type_hints(cls)


def _tuple(name: str, types: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} must be a list, not {str(value)[:40]!r}.")
    if types[-1] is Ellipsis:
        types = (types[0],) * len(value)
    if len(value) != len(types):
        raise ValueError(f"{name} must have {len(types)} values, not {len(value)}.")
    return tuple(typed(f"{name}[{i}]", t, v) for i, (t, v) in enumerate(zip(types, value, strict=True)))


def _object(name: str, want: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a JSON object, not {str(value)[:40]!r}.")
    types = field_types(want)
    if unknown := sorted(set(value) - set(types)):
        raise ValueError(f"{name} has an unknown field {str(unknown[0])[:40]!r}: known are {', '.join(types)}.")
    if missing := [f.name for f in fields(want) if _required(f) and f.name not in value]:
        raise ValueError(f"{name}.{missing[0]} is missing.")
    return want(**{k: typed(f"{name}.{k}", types[k], v) for k, v in value.items()})


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
