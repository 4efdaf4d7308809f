"""When and how a finished sky becomes the World by itself: never in the middle of something else."""

import logging
from collections.abc import Iterator
from pathlib import Path

import bpy

from .sky import nodes
from .ui import tr

log = logging.getLogger(__name__)

JOBS = ("RENDER", "OBJECT_BAKE")  # what reads the World in a thread
STROKES = ("SCULPT_OT", "PAINT_OT")  # they keep an undo step of their own open
QUIET_MODES = ("OBJECT", "POSE")  # in others an undo step is of the mesh, the stroke, the text: a World is not in it


def obstacle() -> str:
    """What has to end before a World may change by itself, as the end of a sentence; empty when nothing does."""
    if bpy.app.background:  # a script has nothing that it could be disturbed in
        return ""
    if any(bpy.app.is_job_running(kind) for kind in JOBS):
        return tr("once the render has ended")
    windows = list(bpy.context.window_manager.windows)
    if any(_in_the_middle(operator) for window in windows for operator in window.modal_operators):
        return tr("once the tool in use has ended")
    if any(window.screen.is_animation_playing for window in windows):
        return tr("once playback stops")
    if any(mode not in QUIET_MODES for mode in _modes(windows)):
        return tr("once you are back in Object Mode")
    return ""


def prepare(scene: bpy.types.Scene, job: Path) -> bool:
    """Do a part of :func:`apply` ahead, so that no turn of a timer takes long; whether there was anything to do."""
    return not _shows(scene, job) and nodes.prepare()


def apply(scene: bpy.types.Scene, job: Path) -> str:
    """Make the sky of ``job`` the World of ``scene``, as one undo step; returns what went wrong, if anything did."""
    if _shows(scene, job):
        return ""  # the user was faster
    window = next((w for w in bpy.context.window_manager.windows if w.scene == scene), None)
    with bpy.context.temp_override(**({"window": window} if window else {"scene": scene})):
        try:
            # True: an operator called from Python makes no undo step of its own otherwise.
            bpy.ops.skyloop.apply_world("EXEC_DEFAULT", True, job=str(job))
        except RuntimeError as error:
            log.error("apply: %s", error)
            return str(error).strip().removeprefix("Error: ")
        finally:
            nodes.discard_spare()
    return ""


def _shows(scene: bpy.types.Scene, job: Path) -> bool:
    return bool(scene.world and scene.world.skyloop.job == str(job))


def _in_the_middle(operator: bpy.types.Operator) -> bool:
    """Whether an undo step would fall into the one that this running operator makes at its end."""
    return "UNDO" in operator.bl_options or operator.bl_idname.startswith(STROKES)


def _modes(windows: list[bpy.types.Window]) -> Iterator[str]:
    for window in windows:
        if window.view_layer and (active := window.view_layer.objects.active):
            yield active.mode
