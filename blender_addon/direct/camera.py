"""The shot's camera: where it looks, and what of the sky it ever sees."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import bpy

from ...backend.controls import CameraKey
from ...backend.protocol import bad_request
from ..core import shots
from ..core.directions import Vector
from ..core.shots import View


def problem(scene: bpy.types.Scene) -> str:
    """Why the shot cannot be followed, as a sentence; empty when it can."""
    cameras = list(_cameras(scene).values()) or [scene.camera]
    for camera in cameras:
        if camera is None or camera.type != "CAMERA":
            return "The scene has no active camera: add one, or switch this off"
        if camera.data.type != "PERSP":
            return f"{camera.name} is no perspective camera: make it one, or switch this off"
    return ""


def keys(scene: bpy.types.Scene) -> tuple[CameraKey, ...]:
    """The shot between the scene's first and last frame, for a request; as few keys as tell it to a tenth of a degree.

    The camera's place does not matter, as the sky is at infinity. Nothing of the file is changed: what moves the camera
    is evaluated in a scene of its own, so that not all of a heavy scene has to be. Raises ``SkyloopError``.
    """
    if text := problem(scene):
        raise bad_request(f"{text}.")
    settings, first = scene.skyloop, scene.frame_start
    found: list[CameraKey] = []
    with _stage(scene) as stage:
        for frame in shots.frame_range(first, scene.frame_end):
            stage.frame_set(frame)
            camera = camera_at(scene, frame)
            shown = shots.movie_frame(frame, first, settings.frames, loop=settings.loop)
            view = view_of(camera.evaluated_get(stage.view_layers[0].depsgraph), scene)
            found.append(shots.key_of(view, shown, settings.front_deg))
    return shots.thinned(found)


def measure(scene: bpy.types.Scene, found: tuple[CameraKey, ...]) -> None:
    """Note how much of the sky the shot sees, for the panel."""
    direct = scene.skyloop.direct
    direct.camera_share, direct.camera_measured = shots.seen_share(found), fingerprint(scene)


def fingerprint(scene: bpy.types.Scene) -> str:
    """What tells, cheaply, that a shot is not the one that was measured; a key that was moved is not noticed."""
    render, camera = scene.render, scene.camera
    size = (render.resolution_x, render.resolution_y, render.pixel_aspect_x, render.pixel_aspect_y)
    lens = (camera.name, round(camera.data.angle, 4)) if camera and camera.type == "CAMERA" else ()
    return repr((scene.frame_start, scene.frame_end, *size, *lens))


def camera_at(scene: bpy.types.Scene, frame: int) -> bpy.types.Object:
    """The camera of a frame: as Blender has it, that of the last marker up to there which has one, before them all that
    of the first; without any the active one."""
    cuts = _cameras(scene)
    return cuts[max((at for at in cuts if at <= frame), default=min(cuts))] if cuts else scene.camera


def view_of(camera: bpy.types.Object, scene: bpy.types.Scene) -> View:
    """How a perspective camera looks at the scene's pictures: sensor fit, lens shift and pixel aspect included."""
    view, shift = _view_and_shift(camera, scene)
    return shots.centred(view, *shift)


def _view_and_shift(camera: bpy.types.Object, scene: bpy.types.Scene) -> tuple[View, tuple[float, float]]:
    turn = camera.matrix_world.to_3x3().normalized()
    corners = [(c.x / -c.z, c.y / -c.z) for c in camera.data.view_frame(scene=scene)]
    (left, low), (right, high) = (tuple(f(c[i] for c in corners) for i in (0, 1)) for f in (min, max))
    view = View(_axis(turn, 0), _axis(turn, 1), _axis(turn, 2, -1.0), (right - left) / 2, (high - low) / 2)
    return view, ((left + right) / 2, (low + high) / 2)


def _axis(turn: bpy.types.Matrix, column: int, sign: float = 1.0) -> Vector:
    x, y, z = turn.col[column]
    return sign * x, sign * y, sign * z


def roll_deg(view: View) -> float:
    """How far a camera is turned clockwise about its view."""
    return shots.key_of(view, 0, 0.0).roll_deg


def fov_deg(view: View) -> float:
    """The horizontal field of view."""
    return math.degrees(2 * math.atan(view.across))


def _cameras(scene: bpy.types.Scene) -> dict[int, bpy.types.Object]:
    """The cameras that markers switch to, by frame."""
    return {marker.frame: marker.camera for marker in scene.timeline_markers if marker.camera}


@contextlib.contextmanager
def _stage(scene: bpy.types.Scene) -> Iterator[bpy.types.Scene]:
    """A scene for a while with nothing but the cameras, and what they follow.

    Its dependency graph is not that of a window, so what it evaluates is not written back into the file; a value that
    somebody has changed and not keyed yet stays as it is.
    """
    stage = bpy.data.scenes.new("Skyloop Shot")
    try:
        for camera in {scene.camera, *_cameras(scene).values()} - {None}:
            stage.collection.objects.link(camera)
        yield stage
        stage.frame_set(scene.frame_current)  # handlers that follow the frame leave the file as it was
    finally:
        bpy.data.scenes.remove(stage)
