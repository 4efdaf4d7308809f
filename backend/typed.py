"""JSON, read strictly: one value for a name, finite numbers, and the types that annotations name, exactly.

Standard library only.
"""

from __future__ import annotations

import json
import math
import reprlib
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

INTEGER_LIMIT = 2**63


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says. Raises ``ValueError``, in one line, for what has no one meaning or is no JSON.

    A name given twice is refused: Python's own reader would take the last value, others the first. Integers of more
    than 20 digits become infinite, for :func:`typed` to refuse by name, as it does NaN.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_int=_integer)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{shown(name)} is given twice")
        found[name] = value
    return found


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 20 else math.copysign(math.inf, -1 if digits[0] == "-" else 1)


def typed(name: str, want: Any, value: Any) -> Any:
    """``value``, as ``json`` parsed it, as a ``want``: str, int, float, bool, a dataclass, a tuple, or one of those
    or None.

    Numbers are finite, integers within 64 bits; an integer is fine where a float is wanted. Lists become tuples and
    objects dataclasses. Raises ``ValueError`` with a message that names the place, such as ``regions[2].pitch_deg``.
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
        raise ValueError(f"{name} must be {want.__name__}, not {shown(value)}.")
    if want is int and not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
        raise ValueError(f"{name} is a number of more than 64 bits.")
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
        raise ValueError(f"{name} must be a list, not {shown(value)}.")
    if types[-1] is Ellipsis:
        types = (types[0],) * len(value)
    if len(value) != len(types):
        raise ValueError(f"{name} must have {len(types)} values, not {len(value)}.")
    return tuple(typed(f"{name}[{i}]", t, v) for i, (t, v) in enumerate(zip(types, value, strict=True)))


def _object(name: str, want: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a JSON object, not {shown(value)}.")
    types = field_types(want)
    if unknown := sorted(set(value) - set(types)):
        raise ValueError(f"{name} has an unknown field {shown(unknown[0])}: known are {', '.join(types)}.")
    if missing := [f.name for f in fields(want) if _required(f) and f.name not in value]:
        raise ValueError(f"{name}.{missing[0]} is missing.")
    return want(**{k: typed(f"{name}.{k}", types[k], v) for k, v in value.items()})


def shown(value: Any) -> str:
    """``value`` for a message: short, on one line, and whatever it is."""
    if isinstance(value, int | float) and abs(value) >= INTEGER_LIMIT:
        return "a number as large as that"  # Python refuses to write out the longest
    return repr((value if isinstance(value, str) else reprlib.repr(value))[:40])


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
