"""What the scene's regions, pictures, masks and camera add to a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ...backend.protocol import bad_request
from . import camera, masks, photo, regions


def conditions(scene: bpy.types.Scene) -> dict[str, Any]:
    """Fields of a ``GenerateRequest`` that the scene sets by direction; empty where it sets none.

    Cheap and without side effects, as panels ask for it while they draw: no file is looked at and nothing is evaluated.
    """
    found: dict[str, Any] = {}
    if there := regions.requested(scene):
        found["regions"] = there
    if scene.skyloop.direct.motion != 1.0:
        found["motion"] = round(scene.skyloop.direct.motion, 3)
    return found | photo.requested(scene)


def prepare(scene: bpy.types.Scene, folder: Path) -> dict[str, Any]:
    """The fields that take work, for the moment when a sky is asked for: masks are written, the camera is followed.

    ``folder`` is where jobs go. Raises ``SkyloopError`` for what :func:`problems` finds, too.
    """
    if found := problems(scene):
        raise bad_request(f"{found[0]}.")
    _, text = photo.examine(scene)
    if text:
        raise bad_request(f"{text}.")
    fields: dict[str, Any] = {}
    direct = scene.skyloop.direct
    if direct.motion_mask and direct.motion:
        still = direct.motion_painted == "STILL"
        fields["motion_mask"] = str(masks.write(scene, masks.MOTION, folder, inverted=still))
    if direct.only_camera:
        fields["camera"] = camera.keys(scene)
        camera.measure(scene, fields["camera"])
    return fields


def problems(scene: bpy.types.Scene) -> list[str]:
    """Why the next sky cannot be steered so, as far as it is known without looking at files."""
    found = regions.of_scene(scene)
    texts = [f"{thing.name}: {text}" for thing in found if (text := regions.problem(scene, thing))]
    if text := regions.too_many(found):
        texts.append(text)
    if scene.skyloop.direct.only_camera and (text := camera.problem(scene)):
        texts.append(text)
    return texts
