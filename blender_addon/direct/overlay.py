"""The regions as the viewport shows them: translucent circles on the sky, at infinity, with their words; and where the
photo is.

Drawn over the World, behind what is nearer, and never in a render. Shapes are made when a region changes only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import blf
import bpy
import gpu
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix

from ..core import directions
from ..core.directions import Vector
from ..core.jobs import shorten
from . import photo, regions, view

FILL_ALPHA, LINE_ALPHA, ACTIVE_FILL_ALPHA = 0.06, 0.8, 0.12
HIDDEN_LINE_ALPHA = 0.25  # where something stands before it, such as the floor's grid
_NEARLY_ALL = 0.9  # of the distance up to which a view shows things
_MOST_CHARS = 32
_TEXT_SIZE = 12.0


@dataclass(frozen=True)
class Mark:
    """One region as it is drawn. ``ahead`` is its direction in the world, ``colour`` red, green and blue."""

    name: str
    text: str
    ahead: Vector
    radius_deg: float
    around: bool
    colour: tuple[float, float, float]
    active: bool


@dataclass
class _Drawing:
    """What was made for the regions as they last were; only Blender's handles and memory of the GPU are kept here."""

    marks: tuple[Mark, ...] = ()
    photo: tuple[Vector, ...] = ()
    fill: Any = None
    lines: Any = None
    hidden_lines: Any = None


_handles: list[Any] = []
_drawing = _Drawing()


def shown_in(context: bpy.types.Context) -> bool:
    """Whether a viewport shows regions: a perspective one, as all of the sky is in one direction in a parallel one."""
    space, seen = context.space_data, context.region_data
    return bool(
        space
        and space.type == "VIEW_3D"
        and seen
        and seen.is_perspective
        and space.overlay.show_overlays
        and context.scene.skyloop.direct.show_overlay
    )


def marks_of(scene: bpy.types.Scene, active: bpy.types.Object | None) -> tuple[Mark, ...]:
    """The enabled regions that have a direction, in painting order."""
    found: list[Mark] = []
    for thing in regions.of_scene(scene):
        settings, at = thing.skyloop, regions.direction_of(scene, thing)
        if settings.enabled and at:
            r, g, b, _ = thing.color
            text = shorten(settings.prompt, _MOST_CHARS) or thing.name
            ahead = directions.direction(*at)
            chosen = thing == active
            found.append(Mark(thing.name, text, ahead, settings.radius_deg, settings.around, (r, g, b), chosen))
    return tuple(found)


def label_direction(mark: Mark, heading_deg: float) -> Vector:
    """Where a region's words are: in its middle; of a band, in its middle height where somebody looks."""
    if not mark.around:
        return mark.ahead
    _, pitch = directions.yaw_pitch(mark.ahead) or (0.0, 0.0)
    low, high = max(-90.0, pitch - mark.radius_deg), min(90.0, pitch + mark.radius_deg)
    return directions.direction(heading_deg, (low + high) / 2)


def _draw_shapes() -> None:
    context = bpy.context
    if not shown_in(context):
        return
    marks = marks_of(context.scene, context.view_layer.objects.active)
    placed = photo.rim(context.scene)
    if (marks, placed) != (_drawing.marks, _drawing.photo):
        _make(marks, placed)
    if not (marks or placed):
        return
    eye = context.region_data.view_matrix.inverted().translation
    gpu.state.blend_set("ALPHA")
    gpu.state.depth_test_set("LESS_EQUAL")
    with gpu.matrix.push_pop():
        gpu.matrix.multiply_matrix(Matrix.Translation(eye) @ Matrix.Scale(_distance(context), 4))
        if _drawing.fill:
            _drawing.fill.draw(gpu.shader.from_builtin("SMOOTH_COLOR"))
        if _drawing.lines:
            shader = gpu.shader.from_builtin("POLYLINE_SMOOTH_COLOR")
            shader.bind()
            shader.uniform_float("viewportSize", (context.region.width, context.region.height))
            shader.uniform_float("lineWidth", 1.5 * context.preferences.system.pixel_size)
            _drawing.lines.draw(shader)
            gpu.state.depth_test_set("NONE")
            _drawing.hidden_lines.draw(shader)
    gpu.state.depth_test_set("NONE")
    gpu.state.blend_set("NONE")


def _draw_words() -> None:
    context = bpy.context
    if not shown_in(context):
        return
    looks = context.region_data.view_matrix.inverted().to_3x3().col[2]
    heading, _ = directions.yaw_pitch(-looks) or (0.0, 0.0)
    size = _TEXT_SIZE * context.preferences.system.ui_scale
    blf.size(0, size)
    blf.enable(0, blf.SHADOW)
    blf.shadow(0, 3, 0.0, 0.0, 0.0, 0.9)
    for mark in _drawing.marks:
        at = view.to_pixels(context.region, context.region_data, label_direction(mark, heading))
        if at is None:
            continue
        width, _ = blf.dimensions(0, mark.text)
        blf.position(0, at[0] - width / 2, at[1] - (2.2 * size if mark.active and not mark.around else 0.4 * size), 0)
        blf.color(0, 1.0, 1.0, 1.0, 1.0 if mark.active else 0.8)
        blf.draw(0, mark.text)
    blf.disable(0, blf.SHADOW)


def _make(marks: tuple[Mark, ...], placed: tuple[Vector, ...]) -> None:
    """The shapes of all regions and the line around the photo, as three calls to the GPU."""
    fill: list[Vector] = []
    lines = directions.segments(placed)
    fill_colours: list[tuple[float, ...]] = []
    line_colours: list[tuple[float, ...]] = [(1.0, 1.0, 1.0, LINE_ALPHA)] * len(lines)
    for mark in marks:
        inside = directions.filled(mark.ahead, mark.radius_deg, around=mark.around)
        fill += inside
        fill_colours += [(*mark.colour, ACTIVE_FILL_ALPHA if mark.active else FILL_ALPHA)] * len(inside)
        for rim in directions.rims(mark.ahead, mark.radius_deg, around=mark.around):
            pairs = directions.segments(rim)
            lines += pairs
            line_colours += [(*mark.colour, 1.0 if mark.active else LINE_ALPHA)] * len(pairs)
    shader = gpu.shader.from_builtin("SMOOTH_COLOR")
    _drawing.fill = batch_for_shader(shader, "TRIS", {"pos": fill, "color": fill_colours}) if fill else None
    shader = gpu.shader.from_builtin("POLYLINE_SMOOTH_COLOR")
    faint = [(*colour[:3], HIDDEN_LINE_ALPHA) for colour in line_colours]
    _drawing.lines, _drawing.hidden_lines = (
        batch_for_shader(shader, "LINES", {"pos": lines, "color": colours}) if lines else None
        for colours in (line_colours, faint)
    )
    _drawing.marks, _drawing.photo = marks, placed


def _distance(context: bpy.types.Context) -> float:
    """How far away to draw, so that nothing but the World is behind."""
    camera = context.scene.camera
    through = context.region_data.view_perspective == "CAMERA" and camera and camera.type == "CAMERA"
    return _NEARLY_ALL * (camera.data.clip_end if through else context.space_data.clip_end)


def register() -> None:
    for draw, when in ((_draw_shapes, "POST_VIEW"), (_draw_words, "POST_PIXEL")):
        _handles.append(bpy.types.SpaceView3D.draw_handler_add(draw, (), "WINDOW", when))


def unregister() -> None:
    global _drawing
    while _handles:
        bpy.types.SpaceView3D.draw_handler_remove(_handles.pop(), "WINDOW")
    _drawing = _Drawing()
