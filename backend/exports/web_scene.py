"""What a .glb file says of itself: whether the web page can show it, with nothing beside it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from ..media.files import open_input
from ..protocol import SkyloopError, bad_request
from ..typed import parse_json

MAX_BYTES = 128 << 20  # a page that is larger is not waited for
_EXPORT = "In Blender: File, Export, glTF 2.0, format glTF Binary (.glb), without compression."
# What three.js' loader needs nothing else for.
_KNOWN = (
    *("KHR_materials_", "KHR_lights_punctual", "KHR_texture_transform", "KHR_mesh_quantization"),
    *("EXT_mesh_gpu_instancing", "EXT_texture_webp", "EXT_texture_avif"),
)


def check_glb(path: Path) -> None:
    """Raises ``SkyloopError(bad_request)`` unless a scene, which :func:`.gltf.check_scene` has seen, is small enough,
    whole in itself and not compressed."""
    told = _told(path)
    for name in _listed(path, told, "extensionsRequired"):
        if not str(name).startswith(_KNOWN):
            raise bad_request(f"{path} needs {str(name)[:60]}, which the web page does not have.", _EXPORT)
    for item in _listed(path, told, "buffers") + _listed(path, told, "images"):
        uri = str(item.get("uri", "")) if isinstance(item, dict) else ""
        if uri and not uri.startswith("data:"):
            raise bad_request(f"{path} needs the file {uri[:60]} beside it.", _EXPORT)


def _told(path: Path) -> dict[str, Any]:
    """The JSON chunk. (Khronos, glTF 2.0 specification, 4.4: GLB file format.)"""
    with open_input(path, MAX_BYTES) as file:
        head = file.read(20)
        try:
            size, kind = struct.unpack_from("<I4s", head, 12)
            told = parse_json(file.read(min(size, MAX_BYTES))) if kind == b"JSON" else None
        except (struct.error, ValueError) as error:
            raise _damaged(path) from error
    if not isinstance(told, dict):
        raise _damaged(path)
    return told


def _listed(path: Path, told: dict[str, Any], name: str) -> list[Any]:
    found = told.get(name, [])
    if not isinstance(found, list):
        raise _damaged(path)
    return found


def _damaged(path: Path) -> SkyloopError:
    return bad_request(f"The scene {path} is damaged.", _EXPORT)
