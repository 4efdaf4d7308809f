"""What of the VR preview can be asked of a Blender without a window."""

import math
from pathlib import Path
from typing import Any

import bpy  # isort: skip  (as a module, bpy makes the next one importable)
import addon_utils
from inside import MODULE, make_job, part


def refusals(args: dict[str, Any]) -> Any:
    """Pressed without a window."""
    addon_utils.enable(MODULE, default_set=True)
    preview = part("blender_addon.vr.preview")
    errors = []
    for operator in (bpy.ops.skyloop.vr_preview, bpy.ops.skyloop.vr_stop):
        try:
            operator()
        except RuntimeError as error:
            errors.append(str(error))
    try:
        preview.start(bpy.context)
    except part("backend.protocol").SkyloopError as error:
        errors.append(error.line)
    return {"errors": errors, "ours": preview.is_ours(), "running": preview.is_running()}


def settings(args: dict[str, Any]) -> Any:
    """What each engine's and each base's settings come to; ``camera`` is at a place and yaw in degrees."""
    addon_utils.enable(MODULE, default_set=True)
    preview, scene = part("blender_addon.vr.preview"), bpy.context.scene
    found: dict[str, Any] = {}
    for engine in ("CYCLES", "BLENDER_WORKBENCH", *preview.DRAWN_AS_RENDERED):
        try:
            scene.render.engine = engine
        except TypeError:  # EEVEE has another name in this Blender
            continue
        found[engine.removesuffix("_NEXT")] = preview.settings_for(scene)[1]
    x, y, z, yaw_deg = args["camera"]
    camera = bpy.data.objects.new("Eye", bpy.data.cameras.new("Eye"))
    scene.collection.objects.link(camera)
    camera.location, camera.rotation_euler = (x, y, z), (math.radians(80.0), 0.0, -math.radians(yaw_deg))
    scene.camera = camera
    bpy.context.view_layer.update()
    vr = scene.skyloop.vr
    vr.heading_deg, vr.eye_height_m, scene.skyloop.front_deg = args["heading_deg"], 1.2, args["front_deg"]
    poses = {}
    for base in ("CENTRE", "CAMERA"):
        vr.base = base
        poses[base] = preview.base_pose(scene)
    camera.rotation_euler = (0.0, 0.0, 0.0)  # straight down
    bpy.context.view_layer.update()
    poses["DOWN"] = preview.base_pose(scene)
    vr.base, scene.unit_settings.scale_length = "CENTRE", 0.01
    poses["CENTIMETRES"] = preview.base_pose(scene)
    scene.camera, vr.base = None, "CAMERA"
    poses["NO_CAMERA"] = preview.base_pose(scene)
    return {"shading": found, "poses": poses}


def put_back(args: dict[str, Any]) -> Any:
    """The settings of a user who has used VR before, through a preview."""
    addon_utils.enable(MODULE, default_set=True)
    preview, now = part("blender_addon.vr.preview"), bpy.context.window_manager.xr_session_settings
    now.base_pose_type, now.base_pose_angle, now.base_pose_location = "SCENE_CAMERA", 0.5, (1.0, 2.0, 3.0)
    now.shading.type, now.use_positional_tracking, now.use_absolute_tracking = "SOLID", False, True

    def look() -> list[Any]:
        pose = [now.base_pose_type, now.base_pose_angle, list(now.base_pose_location)]
        return [*pose, now.shading.type, now.use_positional_tracking, now.use_absolute_tracking]

    before = look()
    wanted, shading = preview.settings_for(bpy.context.scene)
    preview._before = preview.Before(preview._set(now, wanted), preview._set(now.shading, shading))
    during = look()
    bpy.context.scene.skyloop.vr.eye_height_m = 1.0
    moved = now.base_pose_location[2]
    preview.stop()
    return {"before": before, "during": during, "moved": moved, "after": look(), "ours": preview.is_ours()}


def words(args: dict[str, Any]) -> Any:
    """The panel without a sky, with one, with one too wide to play smoothly, and after a headset did not answer."""
    addon_utils.enable(MODULE, default_set=True)
    from layout import drawn

    panel, preview = part("blender_addon.vr.panel"), part("blender_addon.vr.preview")
    protocol, context = part("backend.protocol"), bpy.context

    def look() -> str:
        return drawn(panel.SKYLOOP_PT_vr, context)

    found = {"no_sky": look()}
    bpy.ops.skyloop.apply_world(job=str(make_job(args["film"], Path(args["root"]))))
    found["sky"] = look()
    panel.FLUENT_WIDTH_PX = 128
    found["wide"] = look()
    preview.problem = protocol.SkyloopError(protocol.ErrorKind.INTERNAL, preview.NO_HEADSET, preview.START_IT)
    found["failed"] = look()
    bpy.ops.skyloop.vr_dismiss()
    found["dismissed"] = look()
    preview._before = preview.Before({}, {})
    found["running"] = look()
    context.scene.skyloop.vr.base = "CAMERA"
    found["camera"] = look()
    return found
