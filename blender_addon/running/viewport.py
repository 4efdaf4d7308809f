"""The sky that is being made, shown in the 3D Views as if it were the World, while the World itself is left alone.

It is drawn over what the viewport shows of the World, where nothing stands before it. Nothing of it is in the file:
there is no data-block to be saved, undone, or left behind by a crash, and renders never see it. It lights nothing.
"""

import array
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import gpu
from gpu_extras.batch import batch_for_shader

from .. import session

VERTEX = """
void main()
{
  at = corner;
  gl_Position = vec4(corner, 1.0, 1.0);  // as far away as can be: all else is before it
}
"""
# A smooth enlargement (B-spline of four taps): the picture is small, and its pixels would be as large as a hand.
FRAGMENT = """
vec4 smoothly(vec2 uv)
{
  vec2 size = vec2(textureSize(sky, 0)), x = uv * size - 0.5, f = fract(x);
  vec2 low = (1.0 - f) * (1.0 - f) * (1.0 - f) / 6.0, high = f * f * f / 6.0;
  vec2 second = 2.0 / 3.0 - 0.5 * f * f * (2.0 - f), third = 1.0 - low - high - second;
  vec2 a = low + second, b = third + high;
  vec2 left = (floor(x) - 0.5 + second / a) / size, right = (floor(x) + 1.5 + high / b) / size;
  vec2 u = fract(vec2(left.x, right.x));  // the frame closes at its sides, and ends at the poles
  return a.y * (a.x * textureLod(sky, vec2(u.x, left.y), 0.0) + b.x * textureLod(sky, vec2(u.y, left.y), 0.0))
       + b.y * (a.x * textureLod(sky, vec2(u.x, right.y), 0.0) + b.x * textureLod(sky, vec2(u.y, right.y), 0.0));
}

void main()
{
  vec4 near = to_world * vec4(at, -1.0, 1.0), far = to_world * vec4(at, 1.0, 1.0);
  vec3 ahead = normalize(far.xyz / far.w - near.xyz / near.w);
  float yaw = atan(ahead.x, ahead.y) - front;
  vec2 uv = vec2(0.5 + yaw / 6.2831853, 0.5 + asin(clamp(ahead.z, -1.0, 1.0)) / 3.1415927);
  vec3 coded = smoothly(uv).rgb;  // as in the file; Blender codes what is drawn once more
  vec3 linear = mix(coded / 12.92, pow((coded + 0.055) / 1.055, vec3(2.4)), step(0.04045, coded));
  color = vec4(linear, 1.0);
}
"""


@dataclass
class _Drawing:
    """Memory of the GPU, and Blender's handle of the drawing; nothing else is kept here."""

    handle: Any = None
    shader: Any = None
    batch: Any = None
    shown: tuple[Path | None, int] = (None, 0)
    texture: Any = None


_drawing = _Drawing()


def register() -> None:
    if not bpy.app.background:
        _drawing.handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW")


def unregister() -> None:
    if _drawing.handle:
        bpy.types.SpaceView3D.draw_handler_remove(_drawing.handle, "WINDOW")
    vars(_drawing).update(vars(_Drawing()))


def shown_in(context: bpy.types.Context) -> bool:
    """Whether a viewport shows the sky that is being made: it is wanted, and was asked for in this scene."""
    now, view = session.current(), context.region_data
    return bool(
        now.preview
        and context.window_manager.skyloop.show_preview
        and view
        and view.is_perspective  # else all of the sky is in one direction
        and now.target(now.job) == context.scene
    )


def _draw() -> None:
    context = bpy.context
    if not shown_in(context):
        return
    now = session.current()
    wanted = (now.preview, now.preview_edition)
    if _drawing.shown != wanted and (picture := now.preview_picture()):
        _drawing.texture, _drawing.shown = _texture_of(picture), wanted
    if _drawing.texture is None:
        return
    if _drawing.shader is None:
        _drawing.shader, _drawing.batch = _make()
    shader = _drawing.shader
    gpu.state.depth_test_set("LESS_EQUAL")
    shader.bind()
    shader.uniform_sampler("sky", _drawing.texture)
    shader.uniform_float("to_world", context.region_data.perspective_matrix.inverted())
    shader.uniform_float("front", math.radians(context.scene.skyloop.front_deg))
    _drawing.batch.draw(shader)
    gpu.state.depth_test_set("NONE")


def _texture_of(picture: bpy.types.ImagePreview) -> Any:
    width, height = picture.image_size
    if not width * height:
        return None
    pixels = array.array("f", bytes(4 * 4 * width * height))
    picture.image_pixels_float.foreach_get(pixels)
    buffer = gpu.types.Buffer("FLOAT", len(pixels), pixels)
    return gpu.types.GPUTexture((width, height), format="RGBA16F", data=buffer)


def _make() -> tuple[Any, Any]:
    about, between = gpu.types.GPUShaderCreateInfo(), gpu.types.GPUStageInterfaceInfo("skyloop_preview")
    between.smooth("VEC2", "at")
    about.vertex_in(0, "VEC2", "corner")
    about.vertex_out(between)
    about.push_constant("MAT4", "to_world")
    about.push_constant("FLOAT", "front")
    about.sampler(0, "FLOAT_2D", "sky")
    about.fragment_out(0, "VEC4", "color")
    about.vertex_source(VERTEX)
    about.fragment_source(FRAGMENT)
    shader = gpu.shader.create_from_info(about)
    corners = [(-1, -1), (3, -1), (-1, 3)]  # one triangle, larger than the view
    return shader, batch_for_shader(shader, "TRIS", {"corner": corners})
