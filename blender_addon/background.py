"""The half of the headless main job that runs inside Blender: presses the add-on's own buttons, then saves and renders.

    blender --background --python background.py -- PLAN.json        (or a Python that has bpy)

Says what it does in lines on stdout that begin with ``skyloop:``. The end of stdin means: cancel.
"""

import importlib
import json
import math
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import bpy  # isort: skip  (as a module, bpy makes the next one importable)
import addon_utils

MODULE = "bl_ext.user_default.skyloop"
EYE_HEIGHT_M = 1.7
VIEW_FOV_DEG, VIEW_PITCH_DEG = 85.0, 10.0  # somewhat upwards: it is about the sky
PREVIEW_SIZE_PX = (640, 360)
PREVIEW_SAMPLES = 4


def main(plan: dict[str, Any]) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    addon_utils.enable(MODULE, default_set=True)
    if not hasattr(bpy.types, "SKYLOOP_OT_generate"):
        raise RuntimeError(f"the extension {MODULE} did not register; see above")
    protocol = importlib.import_module(f"{MODULE}.backend.protocol")
    leash = Leash()
    try:
        job = generate(plan, leash, protocol)
        leash.at_once = True
        make_scene(job, plan)
        say("done", job=str(job))
    except protocol.SkyloopError as error:
        say("failed", kind=error.kind, message=error.message, hint=error.hint)
    finally:
        addon_utils.disable(MODULE)


class Leash:
    """Notices the end of stdin, which means that the parent gave up or is gone."""

    def __init__(self) -> None:
        self.pulled = False
        self.at_once = False  # end the process then and there, as a render cannot be asked to stop
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        while os.read(0, 1024):  # not sys.stdin, whose lock a thread must not hold when Python ends
            pass
        self.pulled = True
        if self.at_once:
            os._exit(130)


def generate(plan: dict[str, Any], leash: Leash, protocol: Any) -> Path:
    """See the job in the staging folder to its end; returns that folder. Raises ``SkyloopError``."""
    installed = importlib.import_module(f"{MODULE}.blender_addon.core.installed")
    session = importlib.import_module(f"{MODULE}.blender_addon.session").current()
    if plan["backend_command"]:
        session.runtime = installed.CommandRuntime(plan["backend_command"])
    session.refresh()
    job = importlib.import_module(f"{MODULE}.blender_addon.core.jobs").read(Path(plan["staging"]))
    settings = bpy.context.scene.skyloop
    importlib.import_module(f"{MODULE}.blender_addon.create.request").recall(bpy.context.scene, job.request)
    settings.front_deg, settings.auto_apply = plan["front_deg"], False
    session.resume_for(bpy.context.scene, job)  # which an earlier run may have begun
    said = None
    while session.busy:
        session.step()
        if session.progress != said:
            said = session.progress
            say_progress(said)
        if leash.pulled and bpy.ops.skyloop.cancel.poll():
            bpy.ops.skyloop.cancel()
        time.sleep(0.02)
    session.step()
    if session.problem:
        raise protocol.SkyloopError(session.problem.kind, session.problem.message, session.problem.hint)
    if leash.pulled or not session.just_done:
        raise protocol.SkyloopError(protocol.ErrorKind.CANCELLED, "Cancelled.")
    return session.just_done


def press(operator: Any, protocol: Any, **properties: Any) -> None:
    """Call an operator; what it reports as an error becomes a ``SkyloopError``."""
    try:
        operator("EXEC_DEFAULT", **properties)
    except RuntimeError as error:
        text = str(error).strip().removeprefix("Error: ")
        raise protocol.SkyloopError(protocol.ErrorKind.INTERNAL, text) from error


def make_scene(job: Path, plan: dict[str, Any]) -> None:
    """World, timeline and camera; ``scene.blend`` and ``render.png`` in the job folder."""
    protocol = importlib.import_module(f"{MODULE}.backend.protocol")
    say("note", text="Building the scene")
    scene = bpy.context.scene
    press(bpy.ops.skyloop.apply_world, protocol, job=str(job))
    press(bpy.ops.skyloop.match_timeline, protocol, fps=True, frame_range=True)
    scene.world.skyloop.job = plan["out"]  # where the files will be when all is done
    scene.camera = eye_level_camera(plan["front_deg"])
    scene.view_settings.view_transform = "Standard"  # the sky's own colours, as in the movie
    scene.frame_set(1)
    bpy.ops.wm.save_as_mainfile(filepath=str(job / "scene.blend"), check_existing=False)
    say("note", text="Rendering a preview")
    render = scene.render
    render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = PREVIEW_SAMPLES, False
    render.resolution_x, render.resolution_y = PREVIEW_SIZE_PX
    render.resolution_percentage = 100
    render.image_settings.file_format = "PNG"
    render.filepath = str(job / "render.png")
    bpy.ops.render.render(write_still=True)


def eye_level_camera(front_deg: float) -> bpy.types.Object:
    """A camera at a standing person's eyes that looks just above the horizon where the sky's middle is."""
    data = bpy.data.cameras.new("Camera")
    data.angle = math.radians(VIEW_FOV_DEG)
    camera = bpy.data.objects.new("Camera", data)
    camera.location = (0.0, 0.0, EYE_HEIGHT_M)
    camera.rotation_euler = (math.radians(90.0 + VIEW_PITCH_DEG), 0.0, math.radians(-front_deg))
    bpy.context.scene.collection.objects.link(camera)
    return camera


def say(kind: str, /, **data: Any) -> None:
    print("skyloop:" + json.dumps({"type": kind, **data}), flush=True)


def say_progress(progress: Any) -> None:
    """A bar where the length is known, else a word on what happens now."""
    if progress.total:
        data = {"name": progress.label, "done": progress.done, "total": progress.total, "unit": progress.unit}
        say("phase", data=data)
    else:
        say("note", text=progress.label)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8")))
