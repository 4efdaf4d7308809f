"""Requests of earlier versions, brought up to this one's schema step by step. Standard library only.

A version of ``request.json`` that cannot be read as the one before gets a number of its own (``SCHEMA_VERSION``) and a
step here from the number before; a field with a default needs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..protocol import SCHEMA_VERSION, bad_request
from ..typed import shown

Document = dict[str, Any]
Step = Callable[[Document], Document]


def _numbered(document: Document) -> Document:
    """0 to 1: documents had no number at first, and were otherwise the same."""
    return document


STEPS: Mapping[int, Step] = {0: _numbered}
"""What leads from a version to the next."""


def migrate(document: Any, steps: Mapping[int, Step] = STEPS, newest: int = SCHEMA_VERSION) -> Any:
    """A parsed ``request.json`` of any earlier version as one of version ``newest``; the one given stays as it is.

    What is no JSON object is given back, for the reader to refuse. Raises ``SkyloopError(bad_request)`` for a version
    that is newer than ``newest`` or none.
    """
    if not isinstance(document, dict):
        return document
    version = document.get("schema", 0)
    if type(version) is not int or not (version in steps or version >= newest):
        raise bad_request(f"request schema {shown(version)} is no version number.", "Write the request anew.")
    if version > newest:
        raise bad_request(
            f"This request was made by a newer Skyloop (schema {shown(version)}, this one reads {newest}).",
            "Update Skyloop.",
        )
    migrated = dict(document)
    for number in range(version, newest):
        migrated = steps[number](migrated) | {"schema": number + 1}
    return migrated
