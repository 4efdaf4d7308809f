"""What a .glb file says of itself: whether the web page can show it, with nothing beside it."""

from __future__ import annotations

from pathlib import Path

from ..protocol import bad_request
from .gltf import document, listed

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
    told = document(path, MAX_BYTES)
    for name in listed(path, told, "extensionsRequired"):
        if not str(name).startswith(_KNOWN):
            raise bad_request(f"{path} needs {str(name)[:60]}, which the web page does not have.", _EXPORT)
    for item in listed(path, told, "buffers") + listed(path, told, "images"):
        uri = str(item.get("uri", "")) if isinstance(item, dict) else ""
        if uri and not uri.startswith("data:"):
            raise bad_request(f"{path} needs the file {uri[:60]} beside it.", _EXPORT)
