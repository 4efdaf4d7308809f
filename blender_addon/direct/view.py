"""Where somebody looks: a viewport, the mouse in it, or the active camera."""

from __future__ import annotations

import bpy
from bpy_extras import view3d_utils
from mathutils import Vector

from ...backend.protocol import bad_request
from ..core import directions


def direction(context: bpy.types.Context) -> tuple[float, float]:
    """Yaw in the world and pitch of where the user looks: the viewport's view, the active camera's in camera view,
    and the active camera's where there is no viewport. Raises ``SkyloopError`` where there is neither."""
    shown = context.region_data if context.area and context.area.type == "VIEW_3D" else None
    if shown is not None and shown.view_perspective != "CAMERA":
        ahead = shown.view_rotation @ Vector((0.0, 0.0, 1.0))
    elif context.scene.camera is not None:
        ahead = context.scene.camera.matrix_world.col[2].xyz
    else:
        raise bad_request("There is no camera and no viewport to look through.", "Add a camera to the scene.")
    found = directions.yaw_pitch(-ahead)
    if found is None:
        raise bad_request("The camera's scale is zero, so it looks nowhere.", "Set its scale to 1.")
    return found


def under_mouse(context: bpy.types.Context, event: bpy.types.Event) -> directions.Vector | None:
    """The direction of the sky under the mouse; None beside the viewport."""
    at = (event.mouse_x - context.region.x, event.mouse_y - context.region.y)
    seen = view3d_utils.region_2d_to_vector_3d(context.region, context.region_data, at)
    return (seen.x, seen.y, seen.z) if seen is not None else None


def to_pixels(
    region: bpy.types.Region, shown: bpy.types.RegionView3D, ahead: directions.Vector
) -> tuple[float, float] | None:
    """Where in a viewport a direction of the sky is; None behind the view."""
    seen = shown.perspective_matrix @ Vector((*ahead, 0.0))  # a point at infinity
    if seen.w <= 1e-6:
        return None
    return region.width * (1 + seen.x / seen.w) / 2, region.height * (1 + seen.y / seen.w) / 2
