"""Painting a mask on the sky: a sphere around the eye shows the film, what is painted on it is red.

The sphere and the view of who paints are far from the scene, where nothing is in the way: the sky is at infinity, so it
looks the same from everywhere. What is left to go back to is kept with the window manager, which undo does not touch.
"""

from __future__ import annotations

import json
import math
from typing import Any

import bpy
from bpy.app.handlers import persistent
from mathutils import Quaternion, Vector

from ...backend.protocol import bad_request
from ..core import directions
from ..sky import nodes, timeline, world
from . import masks

SPHERE = "Skyloop Mask"
PLACE = (0.0, 0.0, 10_000.0)
RADIUS_M, EYE_DISTANCE_M = 10.0, 0.001
COLUMNS, ROWS = 128, 64
NEW_VIEW = {"shading": "SOLID", "perspective": "PERSP", "location": (0.0, 0.0, 0.0), "distance": 15.0}
KEY = "skyloop_painting"  # of the window manager
RED, COVER = (1.0, 0.05, 0.02, 1.0), 0.6
GREY = (0.18, 0.18, 0.18, 1.0)


def begin(context: bpy.types.Context, kind: str) -> None:
    """Let the user paint a mask. Raises ``SkyloopError`` where that is under way, or there is no sky to change."""
    scene, direct = context.scene, context.scene.skyloop.direct
    if sphere_of(scene):
        raise bad_request("A mask is being painted already.", "Press Done first.")
    if kind == masks.EDIT and not world.is_sky(scene.world):
        raise bad_request("The World is not a sky of Skyloop's yet.", "Generate or apply one first.")
    _remember(context)
    _leave_mode(context)
    mask = masks.ensure(scene, kind)
    mask.pack()  # what is there now is what Discard goes back to
    for thing in context.selected_objects:
        thing.select_set(False)
    sphere = _make_sphere(scene, mask)
    scene.collection.objects.link(sphere)
    context.view_layer.update()
    context.view_layer.objects.active = sphere
    sphere.select_set(True)
    direct.painting = kind
    bpy.ops.object.mode_set(mode="TEXTURE_PAINT")
    settings = context.tool_settings.image_paint
    settings.mode, settings.canvas = "IMAGE", mask
    set_colour(context, paint=True)
    _look_from_inside(context, sphere)


def end(context: bpy.types.Context, *, keep: bool) -> None:
    """Take the sphere away and go back to what was before, with the paint of this time or without."""
    scene, direct = context.scene, context.scene.skyloop.direct
    kind, sphere = direct.painting, sphere_of(scene)
    if sphere and context.view_layer.objects.active == sphere:
        _leave_mode(context)
    mask = masks.image_of(scene, kind) if kind else None
    if mask and keep:
        mask.pack()
    elif mask and mask.is_dirty:
        mask.reload()
    if sphere:
        _remove(sphere)
    direct.painting = ""
    _go_back(context)


def sphere_of(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The sphere that is painted on now, whatever it is called."""
    return next((t for t in scene.objects if t.type == "MESH" and KEY in t), None)


def set_colour(context: bpy.types.Context, *, paint: bool) -> None:
    """Paint (white) or erase (black), whatever the brush."""
    level = 1.0 if paint else 0.0
    for owner in (_shared_brush(context), context.tool_settings.image_paint.brush):
        if owner:
            owner.color = (level, level, level)


def is_erasing(context: bpy.types.Context) -> bool:
    shared, brush = _shared_brush(context), context.tool_settings.image_paint.brush
    return (shared if shared.use_unified_color or not brush else brush).color[0] < 0.5


def _shared_brush(context: bpy.types.Context) -> bpy.types.UnifiedPaintSettings:
    """What all brushes share: with each kind of painting since Blender 5, with the scene before."""
    settings = context.tool_settings
    return getattr(settings.image_paint, "unified_paint_settings", None) or settings.unified_paint_settings


def _make_sphere(scene: bpy.types.Scene, mask: bpy.types.Image) -> bpy.types.Object:
    points, faces, corners = directions.sphere_mesh(COLUMNS, ROWS)
    mesh = bpy.data.meshes.new(SPHERE)
    mesh.from_pydata([Vector(p) * RADIUS_M for p in points], [], faces)
    uv = mesh.uv_layers.new(name="Sky")
    uv.data.foreach_set("uv", [x for face in corners for corner in face for x in corner])
    mesh.materials.append(_make_material(scene, mask))
    sphere = bpy.data.objects.new(SPHERE, mesh)
    sphere[KEY] = True
    sphere.location = PLACE
    sphere.rotation_euler.z = -math.radians(front_deg(scene))
    sphere.hide_render = True
    return sphere


def front_deg(scene: bpy.types.Scene) -> float:
    """Where the middle of the present sky is; without one, where that of the next will be."""
    found = world.front_deg_of(scene.world)
    return scene.skyloop.front_deg if found is None else found


def _make_material(scene: bpy.types.Scene, mask: bpy.types.Image) -> bpy.types.Material:
    """The film, or grey where there is none, with what is painted in red over it."""
    material = bpy.data.materials.new(SPHERE)
    if material.node_tree is None:
        material.use_nodes = True  # before Blender 5.0
    tree = material.node_tree
    assert tree
    tree.nodes.clear()
    sky, painted, paint = (tree.nodes.new(f"ShaderNode{kind}") for kind in ("Emission", "Emission", "TexImage"))
    sky.inputs["Color"].default_value, painted.inputs["Color"].default_value = GREY, RED
    if film := (nodes.film_node(scene.world) if world.is_sky(scene.world) else None):
        shown = tree.nodes.new("ShaderNodeTexImage")
        shown.image = film.image
        timeline.play_alike(film, shown)
        tree.links.new(shown.outputs["Color"], sky.inputs["Color"])
    paint.image = mask
    cover, mix, output = (tree.nodes.new(f"ShaderNode{kind}") for kind in ("Math", "MixShader", "OutputMaterial"))
    cover.operation, cover.inputs[1].default_value = "MULTIPLY", COVER
    tree.links.new(paint.outputs["Color"], cover.inputs[0])
    tree.links.new(cover.outputs[0], mix.inputs["Fac"])
    tree.links.new(sky.outputs[0], mix.inputs[1])
    tree.links.new(painted.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], output.inputs["Surface"])
    tree.nodes.active = paint
    return material


def _remove(sphere: bpy.types.Object) -> None:
    mesh, materials = sphere.data, list(sphere.data.materials)
    bpy.data.objects.remove(sphere)
    bpy.data.meshes.remove(mesh)
    for material in materials:
        if material and not material.users:
            bpy.data.materials.remove(material)


def _leave_mode(context: bpy.types.Context) -> None:
    active = context.view_layer.objects.active
    if active and active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")


def _remember(context: bpy.types.Context) -> None:
    """What is selected, which mode it is in, how the view looks, what the brush is."""
    active, settings = context.view_layer.objects.active, context.tool_settings.image_paint
    before: dict[str, Any] = {
        "active": active.name if active else "",
        "mode": active.mode if active else "OBJECT",
        "selected": [thing.name for thing in context.selected_objects],
        "brush": {
            "mode": settings.mode,
            "canvas": settings.canvas.name if settings.canvas else "",
            "colour": list(_shared_brush(context).color),
        },
    }
    if seen := _view(context):
        shading, view = seen.shading, seen.region_3d
        before["view"] = {
            "shading": shading.type,
            "perspective": view.view_perspective,
            "location": list(view.view_location),
            "rotation": list(view.view_rotation),
            "distance": view.view_distance,
        }
    context.window_manager[KEY] = json.dumps(before)


def _go_back(context: bpy.types.Context) -> None:
    """As it was before painting, as far as that is still there."""
    manager = context.window_manager
    before: dict[str, Any] = json.loads(manager.pop(KEY)) if KEY in manager else {}
    layer, settings = context.view_layer, context.tool_settings.image_paint
    for name in before.get("selected", ()):
        if name in layer.objects:
            layer.objects[name].select_set(True)
    active = layer.objects.get(before.get("active", ""))
    layer.objects.active = active
    if active and active.mode != before["mode"]:
        bpy.ops.object.mode_set(mode=before["mode"])
    if brush := before.get("brush"):
        _shared_brush(context).color, settings.mode = brush["colour"], brush["mode"]
        settings.canvas = bpy.data.images.get(brush["canvas"])
    _restore_views(before)


def _look_from_inside(context: bpy.types.Context, sphere: bpy.types.Object) -> None:
    if seen := _view(context):
        view = seen.region_3d
        if view.view_perspective == "CAMERA" and context.scene.camera:
            view.view_rotation = context.scene.camera.matrix_world.to_quaternion()
        view.view_perspective = "PERSP"
        view.view_location, view.view_distance = PLACE, EYE_DISTANCE_M
        seen.shading.type = "MATERIAL"
        if seen.local_view:  # which shows only what was chosen for it
            sphere.local_view_set(seen, True)


def _restore_views(before: dict[str, Any]) -> None:
    """Viewports that are at the sphere's place go back to where they were; in a file that was saved while somebody
    painted, to the scene's middle."""
    was = before.get("view", NEW_VIEW)
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D" and _is_inside(area.spaces.active.region_3d):
                view = area.spaces.active.region_3d
                view.view_location, view.view_distance = was["location"], was["distance"]
                view.view_rotation = Quaternion(was["rotation"]) if "rotation" in was else view.view_rotation
                view.view_perspective = was["perspective"]
                area.spaces.active.shading.type = was["shading"]


def _is_inside(view: bpy.types.RegionView3D) -> bool:
    return (view.view_location - Vector(PLACE)).length < RADIUS_M


def _view(context: bpy.types.Context) -> bpy.types.SpaceView3D | None:
    """The viewport of who pressed the button, else the first one; None without a window."""
    if context.area and context.area.type == "VIEW_3D":
        return context.space_data
    areas = context.window.screen.areas if context.window else ()
    return next((area.spaces.active for area in areas if area.type == "VIEW_3D"), None)


@persistent
def _after_undo(*_arguments: object) -> None:
    """Undone back to before the painting, nobody is left far away from the scene; redone, they are there again.

    What to go back to is kept for that, until the next painting.
    """
    context = bpy.context
    if KEY not in context.window_manager:
        return
    spheres = [sphere for scene in bpy.data.scenes if (sphere := sphere_of(scene))]
    if spheres:
        _look_from_inside(context, spheres[0])
    else:
        _restore_views(json.loads(context.window_manager[KEY]))


def register() -> None:
    bpy.app.handlers.undo_post.append(_after_undo)
    bpy.app.handlers.redo_post.append(_after_undo)


def unregister() -> None:
    bpy.app.handlers.redo_post.remove(_after_undo)
    bpy.app.handlers.undo_post.remove(_after_undo)
    for manager in bpy.data.window_managers:
        manager.pop(KEY, None)
