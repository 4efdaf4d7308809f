"""What steered an earlier sky, brought back into a scene: its regions, picture, motion and camera."""

from pathlib import Path

import bpy

from ...backend.controls import Region
from ...backend.jobs.store import is_file
from ...backend.protocol import GenerateRequest
from ..core import directions
from ..direct import regions


def recall_steering(scene: bpy.types.Scene, request: GenerateRequest) -> None:
    """Set by direction what the request has. Regions that it has not are switched off, never deleted.

    A camera's path is the scene's own and stays so; a picture or mask that is gone is left out.
    """
    _regions(scene, request.regions)
    _picture(scene, request)
    direct = scene.skyloop.direct
    direct.motion = request.motion
    direct.only_camera = bool(request.camera)
    direct.motion_mask, direct.motion_painted = _mask(request.motion_mask), "MOVES"


def _mask(path: str) -> bpy.types.Image | None:
    """The picture of a mask, inside the .blend as painted ones are, so that painting on it changes no file."""
    if not path or not is_file(Path(path)):
        return None
    image = bpy.data.images.load(path)
    image.colorspace_settings.name = "Non-Color"
    image.pack()
    return image


def _regions(scene: bpy.types.Scene, wanted: tuple[Region, ...]) -> None:
    there = {thing: _as_requested(scene, thing) for thing in regions.of_scene(scene)}
    for thing in there:
        thing.skyloop.enabled = False
    kept: list[bpy.types.Object] = []
    for region in wanted:
        same = next((thing for thing, has in there.items() if has == region and thing not in kept), None)
        kept.append(same or _add(scene, region))
        kept[-1].skyloop.enabled = True
    others = [thing for thing in there if thing not in kept]
    for number, thing in enumerate([*others, *kept]):  # in the painting order of the request
        if thing.is_editable:
            thing.skyloop.order = number


def _as_requested(scene: bpy.types.Scene, thing: bpy.types.Object) -> Region | None:
    if (at := regions.direction_of(scene, thing)) is None:
        return None
    yaw = None if thing.skyloop.around else round(regions.sky_yaw(scene, at[0]), 3)
    return Region(yaw, round(at[1], 3), round(thing.skyloop.radius_deg, 3), thing.skyloop.prompt)


def _add(scene: bpy.types.Scene, region: Region) -> bpy.types.Object:
    yaw = directions.wrapped((region.yaw_deg or 0.0) + scene.skyloop.front_deg)
    around = region.yaw_deg is None
    return regions.add(scene, yaw, region.pitch_deg, region.radius_deg, region.prompt, around=around)


def _picture(scene: bpy.types.Scene, request: GenerateRequest) -> None:
    direct = scene.skyloop.direct
    direct.photo = request.image
    if request.image:
        direct.photo_kind = "PHOTO" if request.image_fov_deg else "SKY"
    if request.image_fov_deg:
        direct.photo_yaw_deg = directions.wrapped(request.image_yaw_deg + scene.skyloop.front_deg)
        direct.photo_pitch_deg, direct.photo_fov_deg = request.image_pitch_deg, request.image_fov_deg
