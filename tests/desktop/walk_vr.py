"""Put on a headset that nobody made: Monado's simulated one, whose window shows what each eye sees."""

import math
from typing import Any

import bpy
import walking as w
from headset import eyes, start_monado


def walk() -> w.Walk:
    preview = w.part("blender_addon.vr.preview")
    scene, vr = bpy.context.scene, bpy.context.scene.skyloop.vr
    scene.view_settings.view_transform = "Standard"
    scene.eevee.taa_samples = 1
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    vr.heading_deg = 45.0  # between two landmarks: the colour of the frame
    bpy.ops.skyloop.apply_world(job=w.ARGS["job"])
    yield from w.open_tab("Skyloop")
    before = settings()
    w.note(before=before)

    yield from w.click("VR")
    yield from w.click("Preview in VR")
    yield 1.0
    yield from w.show("no_headset")
    w.note(refused={"settings": settings(), "ours": preview.is_ours(), "playing": playing()})

    monado = yield from start_monado()
    yield from w.click("Preview in VR")
    yield from w.until(preview.is_running, 30.0, "no session")
    w.note(began={"playing": playing(), "shading": bpy.context.window_manager.xr_session_settings.shading.type})
    yield from w.until(sky_is_seen, 120.0, "no sky in the eyes")  # shaders are compiled first
    yield from w.show("running")
    w.note(played=(yield from look(12, 0.5)))

    with w.override():
        bpy.ops.screen.animation_play()  # paused by the wearer's friend: now frame by frame
    seen = {}
    for frame in w.ARGS["frames"]:
        scene.frame_set(frame)
        seen[frame] = yield from settled()
    w.note(frames=seen)
    vr.heading_deg = 0.0
    w.note(ahead=(yield from settled()))
    vr.heading_deg = 90.0
    w.note(right=(yield from settled()))
    yield from w.show("headset", "")

    yield from w.click("Stop VR")
    yield 1.5
    w.note(stopped={"running": preview.is_running(), "settings": settings(), "playing": playing()})
    yield from w.show("afterwards")
    monado.kill()


def settings() -> list[Any]:
    now = bpy.context.window_manager.xr_session_settings
    return [now.base_pose_type, now.base_pose_angle, *now.base_pose_location, now.shading.type]


def playing() -> bool:
    return w.window().screen.is_animation_playing


def sky_is_seen() -> bool:
    """Whether both eyes see the film's blue, and not the grey of a 3D View without its World."""
    return all(eye["all"][2] - eye["all"][1] > 15 for eye in eyes().values())


def look(times: int, pause_s: float) -> Any:
    """What the eyes and the scene show while it plays, with the wearer's pose."""
    found = []
    for _ in range(times):
        state = bpy.context.window_manager.xr_session_state
        pose = [round(x, 5) for x in (*state.viewer_pose_location, *state.viewer_pose_rotation)]
        found.append({"frame": bpy.context.scene.frame_current, "eyes": eyes(), "pose": pose})
        yield pause_s
    return found


def settled(timeout_s: float = 30.0) -> Any:
    """What the eyes see once that does not change any more."""
    before, same = None, 0
    for _ in range(math.ceil(timeout_s / 0.5)):
        yield 0.5
        now = eyes()
        same = same + 1 if now == before else 0
        before = now
        if same >= 3:
            break
    return before


w.start(walk())
