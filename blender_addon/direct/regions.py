"""Regions of the sky: empties that carry a prompt and a radius. The empty's place, seen from the centre, is its
direction; so it is moved, parented, constrained and keyed like anything else.

What an empty is called, or which collection it is in, does not matter; a copy of it is a region of its own.
"""

from __future__ import annotations

import bpy
from mathutils import Color, Vector

from ...backend.controls import MAX_REGIONS, Region
from ..core import directions

DISTANCE_M = 50.0  # from the centre, where a new region is put: far enough to be seen there from all of a scene
_SIZE = 0.08  # of an empty, of its distance
_LEAST_DISTANCE_M = 1e-3
_HUE_STEP = 0.381966  # the golden section: every new hue is far from the ones before


def of_scene(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The regions of a scene in painting order; a later one lies over earlier ones."""
    found = [thing for thing in scene.objects if thing.type == "EMPTY" and thing.skyloop.is_region]
    return sorted(found, key=lambda thing: (thing.skyloop.order, thing.name))


def is_region(thing: bpy.types.Object | None) -> bool:
    return thing is not None and thing.type == "EMPTY" and thing.skyloop.is_region


def centre_of(scene: bpy.types.Scene) -> Vector:
    """Where directions are seen from."""
    seen_from = scene.skyloop.direct.centre
    return seen_from.matrix_world.translation.copy() if seen_from else Vector()


def direction_of(scene: bpy.types.Scene, thing: bpy.types.Object) -> tuple[float, float] | None:
    """A region's yaw in the world and pitch, degrees, at the current frame; None when it lies at the centre."""
    away = thing.matrix_world.translation - centre_of(scene)
    return directions.yaw_pitch(away) if away.length > _LEAST_DISTANCE_M else None


def sky_yaw(scene: bpy.types.Scene, world_yaw_deg: float) -> float:
    """The yaw in the sky's frame, as a request says it, of a yaw in the world."""
    return directions.to_sky(world_yaw_deg, scene.skyloop.front_deg)


def requested(scene: bpy.types.Scene) -> tuple[Region, ...]:
    """The regions as a request says them. What has no direction is left out; :func:`problem` says so."""
    found: list[Region] = []
    for thing in of_scene(scene):
        settings = thing.skyloop
        if settings.enabled and (at := direction_of(scene, thing)):
            yaw = None if settings.around else round(sky_yaw(scene, at[0]), 3)
            found.append(Region(yaw, round(at[1], 3), round(settings.radius_deg, 3), settings.prompt))
    return tuple(found)


def problem(scene: bpy.types.Scene, thing: bpy.types.Object) -> str:
    """Why a region cannot be used and what to do, as a sentence; empty when it can, or is switched off."""
    if not thing.skyloop.enabled:
        return ""
    if direction_of(scene, thing) is None:
        return "it lies where you look from, and so in no direction: move it away"
    if not thing.skyloop.prompt.strip():
        return "its prompt is empty: describe what is there"
    return ""


def too_many(found: list[bpy.types.Object]) -> str:
    count = sum(thing.skyloop.enabled for thing in found)
    return f"{count} regions are enabled: use at most {MAX_REGIONS}" if count > MAX_REGIONS else ""


def add(
    scene: bpy.types.Scene,
    yaw_deg: float,
    pitch_deg: float,
    radius_deg: float,
    prompt: str,
    *,
    around: bool = False,
) -> bpy.types.Object:
    """A new region over all others, linked to the scene, in a direction of the world."""
    others = of_scene(scene)
    made = bpy.data.objects.new("Sky Band" if around else "Sky Region", None)
    made.empty_display_type = "CIRCLE" if around else "SPHERE"
    made.empty_display_size = _SIZE * DISTANCE_M
    settings = made.skyloop
    settings.is_region, settings.around = True, around
    settings.radius_deg, settings.prompt = radius_deg, prompt
    settings.order = others[-1].skyloop.order + 1 if others else 0
    made.color = (*_colour(len(others)), 1.0)
    made.location = centre_of(scene) + DISTANCE_M * Vector(directions.direction(yaw_deg, pitch_deg))
    scene.collection.objects.link(made)
    _view_layer(scene).update()  # so that it can be selected, and has its place at once
    return made


def point(scene: bpy.types.Scene, thing: bpy.types.Object, yaw_deg: float, pitch_deg: float) -> None:
    """Move a region into a direction of the world, as far from the centre as it is."""
    centre, matrix = centre_of(scene), thing.matrix_world.copy()
    away = (matrix.translation - centre).length
    far = away if away > _LEAST_DISTANCE_M else DISTANCE_M
    matrix.translation = centre + far * Vector(directions.direction(yaw_deg, pitch_deg))
    thing.matrix_world = matrix


def move(scene: bpy.types.Scene, thing: bpy.types.Object, step: int) -> None:
    """Paint it earlier (-1) or later (1); all get an order of their own, as copies share theirs."""
    found = of_scene(scene)
    at = found.index(thing)
    found.insert(max(0, min(len(found) - 1, at + step)), found.pop(at))
    for number, other in enumerate(found):
        other.skyloop.order = number


def active_index(self: bpy.types.PropertyGroup) -> int:
    """The place of the active object among the scene's, which is what the list shows of; -1 when it is no region."""
    scene = self.id_data
    active = _view_layer(scene).objects.active
    return scene.objects.find(active.name) if is_region(active) else -1


def set_active_index(self: bpy.types.PropertyGroup, index: int) -> None:
    scene = self.id_data
    if 0 <= index < len(scene.objects):
        make_active(scene, scene.objects[index])


def make_active(scene: bpy.types.Scene, thing: bpy.types.Object) -> None:
    """Select only this one. One in a collection that is excluded can be neither selected nor active."""
    layer = _view_layer(scene)
    if thing.name not in layer.objects:
        return
    for other in layer.objects:
        if other.select_get(view_layer=layer):
            other.select_set(False, view_layer=layer)
    thing.select_set(True, view_layer=layer)
    layer.objects.active = thing


def _view_layer(scene: bpy.types.Scene) -> bpy.types.ViewLayer:
    """The layer that is shown, when the scene is shown; else its first."""
    return bpy.context.view_layer if bpy.context.scene == scene else scene.view_layers[0]


def _colour(number: int) -> tuple[float, float, float]:
    colour = Color()
    colour.hsv = ((0.08 + number * _HUE_STEP) % 1.0, 0.75, 1.0)
    return colour.r, colour.g, colour.b
