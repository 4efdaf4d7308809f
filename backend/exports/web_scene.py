"""What a .glb file says of itself: whether it can stand under a sky as it is."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from ..media.files import open_input
from ..protocol import bad_request

MAX_BYTES = 512 << 20
_MAX_TOLD_BYTES = 64 << 20
_EXPORT = "In Blender: File, Export, glTF 2.0, format glTF Binary (.glb), without compression."
# What three.js' loader needs nothing else for.
_KNOWN = (
    *("KHR_materials_", "KHR_lights_punctual", "KHR_texture_transform", "KHR_mesh_quantization"),
    *("EXT_mesh_gpu_instancing", "EXT_texture_webp", "EXT_texture_avif"),
)


def check_glb(path: Path) -> None:
    """Raises ``SkyloopError(bad_request)`` unless it is a glTF 2 file that is whole in itself and not compressed."""
    told = _told(path)
    needs = [name for name in told.get("extensionsRequired", ()) if not str(name).startswith(_KNOWN)]
    if needs:
        raise bad_request(f"{path} needs {str(needs[0])[:60]}, which the exports do not read.", _EXPORT)
    for kind in ("buffers", "images"):
        for item in told.get(kind, ()):
            uri = item.get("uri", "") if isinstance(item, dict) else ""
            if uri and not str(uri).startswith("data:"):
                raise bad_request(f"{path} needs the file {str(uri)[:60]} beside it.", _EXPORT)


def _told(path: Path) -> dict[str, Any]:
    """The JSON chunk. (Khronos, glTF 2.0 specification, 4.4: GLB file format.)"""
    with open_input(path, MAX_BYTES) as file:
        head = file.read(20)
        if len(head) == 20 and head[:4] == b"glTF" and head[16:] == b"JSON":
            _, version, length, told_bytes = struct.unpack_from("<4sIII", head)
            whole = length == path.stat().st_size and told_bytes <= min(length, _MAX_TOLD_BYTES)
            if version == 2 and whole:
                return _parsed(path, file.read(told_bytes))
    raise bad_request(f"{path} is no glTF 2.0 binary (.glb), or only a part of one.", _EXPORT)


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"{path} is damaged: {str(error)[:100]}", _EXPORT) from error
    if not isinstance(told, dict):
        raise bad_request(f"{path} is damaged.", _EXPORT)
    return told
