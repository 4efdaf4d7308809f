"""One thing that is not as it should be, where it is shown, and what would set it right."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    ERROR = "error"  # nothing can be generated
    WARNING = "warning"  # it can, and is perhaps not what is wanted
    INFO = "info"


@dataclass(frozen=True)
class Fix:
    """What a button does: set ``settings`` of the scene's ``skyloop`` (by dotted name), or call ``operator``."""

    label: str
    settings: dict[str, Any] = field(default_factory=dict)
    operator: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """Something that is not as it should be. ``place`` is the part of the panel where it is shown."""

    id: str
    place: str
    severity: Severity
    message: str
    fix: Fix | None = None
