"""When which frame of the film is shown: offset, speed, direction, and a scene that is as long as the loop.

Blender shows film frame ``(scene frame - frame_start) mod frame_duration + 1 + frame_offset``: the offset comes after
the wrap, so a loop is shifted by ``frame_start``. For another speed the cycle is made one frame long, and a driver sets
the offset. Its expression is of the simple kind, which Blender computes itself: it needs no permission to run Python.
"""

import re

import bpy

from ...backend.protocol import ErrorKind, SkyloopError
from ..core.settings import blender_fps
from . import nodes

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0)
OFFSET_PATH = f'nodes["{nodes.FILM}"].image_user.frame_offset'
PLAYING = ("frame_duration", "frame_start", "frame_offset", "use_cyclic", "use_auto_refresh")


def set_up(world: bpy.types.World, frames: int) -> None:
    """Let a sky's film of ``frames`` frames play as its record says: speed, direction, frame shown at scene frame 1."""
    node = nodes.film_node(world)
    if node is None:
        return
    record = world.skyloop
    record.frames = frames
    user, tree = node.image_user, node.id_data
    user.use_cyclic = True
    user.use_auto_refresh = True  # without it the viewport and VR stand still
    tree.driver_remove(OFFSET_PATH)
    speed = -speed_of(world) if record.reverse else speed_of(world)
    if speed == 1.0:
        user.frame_duration, user.frame_offset = frames, first_number(node.image) - 1
        user.frame_start = 1 - record.frame_offset % frames
        return
    user.frame_duration, user.frame_start = 1, 1
    drive = tree.driver_add(OFFSET_PATH).driver
    drive.expression = film_expression(frames, speed, record.frame_offset, first_number(node.image))


def play_alike(film: bpy.types.Node, other: bpy.types.Node) -> None:
    """Let ``other``, an image texture anywhere, show at each scene frame what the film's node ``film`` shows then."""
    for name in PLAYING:
        setattr(other.image_user, name, getattr(film.image_user, name))
    moved = film.id_data.animation_data
    for curve in moved.drivers if moved else ():
        if curve.data_path == OFFSET_PATH:
            path = f'nodes["{bpy.utils.escape_identifier(other.name)}"].image_user.frame_offset'
            other.id_data.driver_add(path).driver.expression = curve.driver.expression


def film_expression(frames: int, speed: float, offset: int, first: int) -> str:
    """What ``frame_offset`` must be at scene frame ``frame``, for Blender's own evaluation of simple expressions."""
    step = f"floor((frame-1)*{speed:g}+{offset % frames})"
    return f"{step}-{frames}*floor({step}/{frames})+{first - 1}"


def film_frame(scene_frame: int, frames: int, speed: float = 1.0, offset: int = 0) -> int:
    """The film frame, from 0, that is shown at ``scene_frame``; a negative ``speed`` plays backwards."""
    return int(((scene_frame - 1) * speed + offset) // 1) % frames


def first_number(image: bpy.types.Image | None) -> int:
    """The number of a sequence's first picture, which Blender takes for its frame number; 1 for a movie."""
    if image is None or image.source != "SEQUENCE":
        return 1
    found = re.search(r"(\d+)\.\w+$", image.filepath)
    return int(found[1]) if found else 1


def speed_of(world: bpy.types.World) -> float:
    """Film frames per scene frame."""
    return float(world.skyloop.speed)


def loop_length(world: bpy.types.World) -> int:
    """Scene frames until the sky is as it was."""
    frames, speed = world.skyloop.frames, speed_of(world)
    return max(1, round(frames / speed)) if speed <= 1.0 or frames % speed == 0 else frames


def match(scene: bpy.types.Scene, *, fps: bool, frame_range: bool, repeats: int = 1) -> None:
    """Make the scene as fast (``fps``) or as long (``frame_range``) as ``repeats`` loops of its sky."""
    if not scene.world or not scene.world.skyloop.is_sky:
        raise SkyloopError(ErrorKind.BAD_REQUEST, "The World of this scene is not a Skyloop sky.")
    if fps:
        scene.render.fps, scene.render.fps_base = blender_fps(scene.world.skyloop.fps)
    if frame_range:
        scene.frame_start, scene.frame_end = 1, loop_length(scene.world) * repeats
