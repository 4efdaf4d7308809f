"""A picture that the sky starts from: a panorama of all of it, or a photo placed in a direction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ...backend.media.picture_header import size_in_header
from ...backend.protocol import bad_request
from .. import places
from ..core import directions
from . import camera

LEVEL_DEG = 2.0  # a camera that is turned less about its view counts as level
PANORAMA_TOLERANCE = 0.01
_HEADER_BYTES = 4 << 20


def path_of(scene: bpy.types.Scene) -> Path:
    return places.absolute(scene.skyloop.direct.photo, scene)


def requested(scene: bpy.types.Scene) -> dict[str, Any]:
    """The picture as a request says it; empty without one."""
    direct = scene.skyloop.direct
    if not direct.photo:
        return {}
    image = str(path_of(scene))
    if direct.photo_kind == "SKY":
        return {"image": image}
    return {
        "image": image,
        "image_yaw_deg": round(directions.to_sky(direct.photo_yaw_deg, scene.skyloop.front_deg), 3),
        "image_pitch_deg": round(direct.photo_pitch_deg, 3),
        "image_fov_deg": round(direct.photo_fov_deg, 3),
    }


def rim(scene: bpy.types.Scene) -> tuple[directions.Vector, ...]:
    """The line around the photo on the sky, for the viewport; empty when none is placed."""
    direct = scene.skyloop.direct
    if not direct.photo or direct.photo_kind == "SKY" or direct.photo_problem:
        return ()
    place = (direct.photo_yaw_deg, direct.photo_pitch_deg, direct.photo_fov_deg, direct.photo_aspect)
    return tuple(directions.picture_rim(*place))


def look(self: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """When a picture is chosen: see whether it can be used, and whether it is a panorama."""
    scene = self.id_data
    size, self.photo_problem = examine(scene)
    if size and not self.photo_problem:
        width, height = size
        self.photo_aspect = width / max(1, height)
        self.photo_kind = "SKY" if abs(width - 2 * height) <= max(2, PANORAMA_TOLERANCE * width) else "PHOTO"


def examine(scene: bpy.types.Scene) -> tuple[tuple[int, int] | None, str]:
    """Width and height of the picture, and why it cannot be used; reads the start of the file."""
    if not scene.skyloop.direct.photo:
        return None, ""
    path = path_of(scene)
    try:
        with path.open("rb") as file:
            size = size_in_header(file.read(_HEADER_BYTES))
    except OSError:
        return None, f"{path.name} is not there or cannot be read: choose the picture again"
    if size is None:
        return None, f"{path.name} is no picture that can be used: choose a PNG or JPEG"
    return size, ""


def place_at_camera(scene: bpy.types.Scene) -> None:
    """Put the picture where the active camera looks, as wide as it fills the camera's picture.

    Without a picture the camera's background image is taken. Raises ``SkyloopError`` where the camera is not level,
    as a photo cannot be turned, and where there is neither picture.
    """
    direct, seen = scene.skyloop.direct, scene.camera
    if seen is None or seen.type != "CAMERA" or seen.data.type != "PERSP":
        raise bad_request("The scene has no active perspective camera.", "Add one where the photo was taken from.")
    view = camera.view_of(seen, scene)
    roll = camera.roll_deg(view)
    if abs(roll) > LEVEL_DEG:
        raise bad_request(
            f"{seen.name} is rolled by {roll:.0f}°, and a photo can only be placed upright.", "Level the camera."
        )
    fit = "FIT"
    if not direct.photo:
        background = next((b for b in seen.data.background_images if b.image and b.image.filepath), None)
        if background is None:
            raise bad_request("No picture is chosen.", "Choose one, or give the camera a background image.")
        direct.photo, fit = background.image.filepath, background.frame_method
    size, text = examine(scene)
    if size is None:
        raise bad_request(f"{text}.")
    found = directions.yaw_pitch(view.ahead)
    assert found
    direct.photo_kind = "PHOTO"
    direct.photo_yaw_deg, direct.photo_pitch_deg = found
    direct.photo_fov_deg = camera.fov_deg(_filled(view, size[0] / size[1], fit))


def _filled(view: camera.View, aspect: float, fit: str) -> camera.View:
    """The part of a camera's picture that a photo of that shape fills: within it, beyond it, or stretched to it."""
    part = aspect / (view.across / view.down)
    across = view.across * {"FIT": min(1.0, part), "CROP": max(1.0, part)}.get(fit, 1.0)
    return camera.View(view.right, view.up, view.ahead, across, across / aspect)
