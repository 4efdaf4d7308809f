"""Masks of the whole sky as Blender images: equirectangular like the sky itself, and packed into the .blend.

What is painted is white, whatever is painted on: the sphere of :mod:`.painting`, or the Image Editor.
"""

from __future__ import annotations

import hashlib
from array import array
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from ...backend.media.files import atomic_write, writing
from ...backend.protocol import bad_request
from ..core import grey_png

EDIT, MOTION = "EDIT", "MOTION"
ITEMS = (
    (EDIT, "Part of the Sky", "Where the present sky is made anew"),
    (MOTION, "Motion", "Where the next sky moves"),
)
_OWNERS = {EDIT: ("edit_mask", "Skyloop Mask"), MOTION: ("motion_mask", "Skyloop Motion Mask")}
WIDTH, HEIGHT = 1024, 512
FOLDER = "masks"
_MOST_WIDTH = 2048  # a larger mask is read at fewer points: its edges are softened by degrees anyway
_PAINTED = 128
_INVERTED = bytes(range(255, -1, -1))


def image_of(scene: bpy.types.Scene, kind: str) -> bpy.types.Image | None:
    return getattr(scene.skyloop.direct, _OWNERS[kind][0])


def ensure(scene: bpy.types.Scene, kind: str) -> bpy.types.Image:
    """The mask of that kind, a new black one when there is none."""
    attribute, name = _OWNERS[kind]
    image = image_of(scene, kind)
    if image is None:
        image = bpy.data.images.new(name, WIDTH, HEIGHT, alpha=False)
        image.generated_color = (0.0, 0.0, 0.0, 1.0)
        image.colorspace_settings.name = "Non-Color"
        image.pack()
        setattr(scene.skyloop.direct, attribute, image)
    return image


def remove(scene: bpy.types.Scene, kind: str) -> None:
    image = image_of(scene, kind)
    setattr(scene.skyloop.direct, _OWNERS[kind][0], None)
    if image and not image.users:
        bpy.data.images.remove(image)


def rows_of(image: bpy.types.Image) -> list[bytes]:
    """The mask's rows from the top, a byte a pixel. Raises ``SkyloopError`` where it cannot be read."""
    width, height = image.size
    if not width or not height or not image.channels:
        raise bad_request(f"The mask {image.name} cannot be read.", "Remove it and paint a new one.")
    flat = array("f", [0.0]) * (width * height * image.channels)
    image.pixels.foreach_get(flat)
    step, stride = -(-width // _MOST_WIDTH), image.channels
    rows: list[bytes] = []
    for row in range(0, height - height % step, step):
        start = row * width * stride
        line = flat[start : start + (width - width % step) * stride : step * stride]
        rows.append(bytes(min(255, max(0, int(255 * x + 0.5))) for x in line))
    rows.reverse()  # Blender counts from the bottom
    return rows


def write(scene: bpy.types.Scene, kind: str, folder: Path, *, inverted: bool = False) -> Path:
    """Write the mask beside the jobs in ``folder``; it is named by what is in it, so that no two are mixed up.

    Raises ``SkyloopError`` where nothing is painted.
    """
    image = image_of(scene, kind)
    rows = rows_of(image) if image else []
    if not any(max(row) >= _PAINTED for row in rows):
        raise bad_request("The mask is empty.", "Paint something first.")
    if inverted:
        rows = [row.translate(_INVERTED) for row in rows]
    data = grey_png.encode(len(rows[0]), len(rows), rows)
    path = folder.resolve() / FOLDER / f"mask-{hashlib.sha256(data).hexdigest()[:16]}.png"
    if not path.is_file():
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, data)
    return path


@persistent
def pack_painted(*_arguments: object) -> None:
    """Before the .blend is saved: what has been painted goes along, without anybody having to think of it."""
    for scene in bpy.data.scenes:
        for kind in _OWNERS:
            image = image_of(scene, kind)
            if image and image.is_dirty and image.is_editable:
                image.pack()


def register() -> None:
    bpy.app.handlers.save_pre.append(pack_painted)


def unregister() -> None:
    bpy.app.handlers.save_pre.remove(pack_painted)
