"""A glTF scene that goes along with a sky: what it says of itself, read before anything is written. Standard library
only."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from ..media.files import open_input
from ..protocol import SkyloopError, bad_request
from ..typed import parse_json

MAX_BYTES = 1 << 32  # the format's own limit
_MAX_JSON_BYTES = 256 << 20
_HEADER = struct.Struct("<4sII")  # magic, version, length in bytes
_CHUNK = struct.Struct("<I4s")  # length in bytes, kind


def check_scene(path: Path) -> None:
    """Raises ``SkyloopError(bad_request)`` unless ``path`` is a whole binary glTF 2 file."""
    hint = "Give a scene that was exported as glTF Binary (.glb)."
    try:
        with open_input(path, MAX_BYTES) as file:
            head, size = file.read(_HEADER.size), file.seek(0, 2)
    except OSError as error:
        raise bad_request(f"The scene {path} cannot be read ({error.strerror}).", hint) from error
    if len(head) < _HEADER.size or _HEADER.unpack(head)[:2] != (b"glTF", 2):
        raise bad_request(f"{path} is no glTF 2 scene in one file.", hint)
    if size < _HEADER.unpack(head)[2]:
        raise bad_request(f"The scene {path} is cut short.", hint)


def document(path: Path, most_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The JSON of a scene of at most ``most_bytes``, which :func:`check_scene` has seen. (Khronos, glTF 2.0
    specification, 4.4: GLB file format.) Raises ``SkyloopError(bad_request)`` where it is none."""
    with open_input(path, most_bytes) as file:
        file.seek(_HEADER.size)
        try:
            size, kind = _CHUNK.unpack(file.read(_CHUNK.size))
            told = parse_json(file.read(size)) if kind == b"JSON" and size <= _MAX_JSON_BYTES else None
        except (struct.error, ValueError) as error:
            raise damaged(path) from error
    if not isinstance(told, dict):
        raise damaged(path)
    return told


def listed(path: Path, told: dict[str, Any], name: str) -> list[Any]:
    """A list of the :func:`document`, empty where it has none. Raises like it."""
    found = told.get(name, [])
    if not isinstance(found, list):
        raise damaged(path)
    return found


def damaged(path: Path) -> SkyloopError:
    """What is said of a scene that does not follow the format."""
    return bad_request(f"The scene {path} is damaged.", "Export it from Blender again, as glTF Binary (.glb).")
