"""A glTF scene that goes along with a sky: looked at before anything is written. Standard library only."""

from __future__ import annotations

import struct
from pathlib import Path

from ..media.files import open_input
from ..protocol import bad_request

_HEADER = struct.Struct("<4sII")  # magic, version, length in bytes
_MAX_BYTES = 1 << 32  # the format's own limit


def check_scene(path: Path) -> None:
    """Raises ``SkyloopError(bad_request)`` unless ``path`` is a whole binary glTF 2 file."""
    hint = "Give a scene that was exported as glTF Binary (.glb)."
    try:
        with open_input(path, _MAX_BYTES) as file:
            head, size = file.read(_HEADER.size), file.seek(0, 2)
    except OSError as error:
        raise bad_request(f"The scene {path} cannot be read ({error.strerror}).", hint) from error
    if len(head) < _HEADER.size or _HEADER.unpack(head)[:2] != (b"glTF", 2):
        raise bad_request(f"{path} is no glTF 2 scene in one file.", hint)
    if size < _HEADER.unpack(head)[2]:
        raise bad_request(f"The scene {path} is cut short.", hint)
