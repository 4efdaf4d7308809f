"""The scene in a headset: Blender's own OpenXR session, set up so that a sky is seen in it, moving, and ended cleanly.

One preview at a time, as Blender has one VR session. What it changed is put back when it ends, whoever ends it: the
button, the headset's program, or Blender's own VR tab.
"""

import contextlib
import logging
import math
import time
from dataclasses import dataclass, field
from typing import Any

import bpy

from ...backend.protocol import ErrorKind, SkyloopError
from .. import redraw, session
from ..sky import world

log = logging.getLogger(__name__)

WATCH_PERIOD_S = 0.5
START_PATIENCE_S = 10.0
NO_HEADSET = "No headset answers."
START_IT = "Start SteamVR, Monado or your headset's own program, see that the headset is on, then press again."
# Blender itself never renders with Cycles into a headset; its material preview shows the scene's World with EEVEE.
DRAWN_AS_RENDERED = ("BLENDER_EEVEE", "BLENDER_EEVEE_NEXT")


@dataclass
class Before:
    """How things were before the preview: plain values, because a file may be opened meanwhile."""

    settings: dict[str, Any]
    shading: dict[str, Any]
    we_play: bool = False
    seen_running: bool = False
    began_s: float = field(default_factory=time.monotonic)


_before: Before | None = None
problem: SkyloopError | None = None  # why the last attempt failed or ended, for the panel


def why_not() -> str:
    """Why no headset can be used by this Blender; empty when nothing speaks against trying."""
    if not bpy.app.build_options.xr_openxr:
        return "This build of Blender has no VR (OpenXR): use the one from blender.org"
    if bpy.app.background:
        return "Blender runs without a window, and VR needs one"
    return ""


def is_running() -> bool:
    """Whether Blender shows something in a headset now."""
    state = getattr(bpy.types, "XrSessionState", None)
    return bool(bpy.app.build_options.xr_openxr and state and state.is_running(bpy.context))


def is_ours() -> bool:
    """Whether it is this preview that runs or is about to."""
    return _before is not None


def settings_for(scene: bpy.types.Scene) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``wm.xr_session_settings`` and its ``shading`` are to be so that ``scene``'s sky is seen as chosen there."""
    location, angle = base_pose(scene)
    settings = {
        "base_pose_type": "CUSTOM",
        "base_pose_location": location,
        "base_pose_angle": angle,
        "show_floor": False,  # its grid would lie over the sky
        "use_positional_tracking": True,
        "use_absolute_tracking": False,  # the eyes begin at the base, wherever in the room the headset lies
    }
    if scene.render.engine in DRAWN_AS_RENDERED:
        return settings, {"type": "RENDERED", "use_scene_world_render": True, "use_scene_lights_render": True}
    return settings, {"type": "MATERIAL", "use_scene_world": True, "use_scene_lights": True}


def base_pose(scene: bpy.types.Scene) -> tuple[tuple[float, float, float], float]:
    """Where the eyes begin, in the scene's units, and the angle around Z: 0 looks to +Y, positive turns to the left."""
    chosen, camera = scene.skyloop.vr, scene.camera
    if chosen.base == "CAMERA" and camera:
        location = tuple(camera.matrix_world.translation)
        ahead_deg = 0.0
        with contextlib.suppress(SkyloopError):  # it looks straight up or down: any heading is as good
            ahead_deg = world.camera_front_deg(camera)
    else:
        location = (0.0, 0.0, chosen.eye_height_m / scene.unit_settings.scale_length)
        front_deg = world.front_deg_of(scene.world)
        ahead_deg = scene.skyloop.front_deg if front_deg is None else front_deg
    return location, -math.radians(ahead_deg + chosen.heading_deg)


def start(context: bpy.types.Context) -> None:
    """Show ``context.scene`` in the headset, playing. Raises ``SkyloopError`` and leaves everything as it was."""
    global _before, problem
    problem = None
    if reason := why_not():
        raise SkyloopError(ErrorKind.BAD_REQUEST, f"{reason}.")
    if is_running():
        raise SkyloopError(ErrorKind.BAD_REQUEST, "VR is running already.", "Stop it first, in Blender's own VR tab.")
    session.current().release()  # an idle generator's memory is the headset's; a busy one's stays
    settings, shading = settings_for(context.scene)
    _before = Before(_set(_settings(), settings), _set(_settings().shading, shading))
    try:
        with _in_view3d(context):
            done = bpy.ops.wm.xr_session_toggle()
    except RuntimeError as error:  # Blender's own words name OpenXR's functions: for the log
        log.warning("xr_session_toggle: %s", error)
        done = {"CANCELLED"}
    if "FINISHED" not in done:
        _put_back()
        problem = SkyloopError(ErrorKind.INTERNAL, NO_HEADSET, START_IT)
        raise problem
    _set(_settings(), settings)  # Blender starts with much of what the 3D View shows
    _set(_settings().shading, shading)
    if not _playing():
        _toggle_playback()
        _before.we_play = True
    bpy.app.timers.register(_watch, first_interval=WATCH_PERIOD_S, persistent=True)


def stop() -> None:
    """End the preview and put back what it changed."""
    if is_running():
        with _in_view3d(bpy.context):
            bpy.ops.wm.xr_session_toggle()
    _put_back()


def place(scene: bpy.types.Scene) -> None:
    """Take over the pose chosen in ``scene`` while the preview runs."""
    if is_ours():
        location, angle = base_pose(scene)
        _settings().base_pose_location, _settings().base_pose_angle = location, angle


def dismiss() -> None:
    global problem
    problem = None


def _watch() -> float | None:
    """A session may also end by itself, or never begin. Never raises: Blender would drop the timer."""
    global problem
    try:
        if _before is None:
            return None
        if is_running():
            _before.seen_running = True
            return WATCH_PERIOD_S
        if not _before.seen_running and time.monotonic() - _before.began_s < START_PATIENCE_S:
            return WATCH_PERIOD_S
        if not _before.seen_running:
            problem = SkyloopError(ErrorKind.INTERNAL, NO_HEADSET, START_IT)
        _put_back()
    except Exception:
        log.exception("vr")
    return None


def _put_back() -> None:
    """Settings and playback as they were before."""
    global _before
    before, _before = _before, None
    if before is None:
        return
    _set(_settings().shading, before.shading)
    _set(_settings(), before.settings)
    if before.we_play and _playing():
        _toggle_playback()
    redraw.panels()


def end() -> None:
    """For ``unregister``."""
    if bpy.app.timers.is_registered(_watch):
        bpy.app.timers.unregister(_watch)
    if is_ours():
        stop()
    dismiss()


def _set(owner: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Set the properties; returns what they were, as plain values."""
    before = {}
    for name, value in values.items():
        old = getattr(owner, name)
        before[name] = old if isinstance(old, (str, bool, float, int)) else tuple(old)
        setattr(owner, name, value)
    return before


def _settings() -> Any:
    return bpy.context.window_manager.xr_session_settings


def _playing() -> bool:
    return any(window.screen.is_animation_playing for window in bpy.context.window_manager.windows)


def _toggle_playback() -> None:
    """Start or stop the animation, in the window where it plays if it does."""
    windows = bpy.context.window_manager.windows
    window = next((w for w in windows if w.screen.is_animation_playing), windows[0] if windows else None)
    if window:
        with bpy.context.temp_override(window=window, screen=window.screen):
            bpy.ops.screen.animation_play()


def _in_view3d(context: bpy.types.Context) -> Any:
    """The context of a 3D View, which the VR session wants; the given one where there is none."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                region = next(region for region in area.regions if region.type == "WINDOW")
                return context.temp_override(window=window, screen=window.screen, area=area, region=region)
    return contextlib.nullcontext()
