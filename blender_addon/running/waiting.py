"""For scripts without a window, where no timer runs: stand still until all that was asked for is done."""

import time
from collections.abc import Iterator

import bpy

from ...backend.protocol import SkyloopError
from .. import session
from ..ui import Action

TURN_S = 0.02


class SKYLOOP_OT_wait(Action, bpy.types.Operator):
    """Wait until all skies are made and applied, or the set-up is done: for scripts in a Blender without a window"""

    bl_idname = "skyloop.wait"
    bl_label = "Wait"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if bpy.app.background else "Blender has a window, and goes on by itself"

    def act(self, context: bpy.types.Context) -> None:
        now = session.current()
        try:
            for text in _turns(now):
                print(f"Skyloop: {text}", flush=True)
        except KeyboardInterrupt:
            now.cancel()
            _end(now)
            raise
        if now.problem:
            raise SkyloopError(now.problem.kind, now.problem.message, now.problem.hint)


def _turns(now: session.BlenderSession) -> Iterator[str]:
    """Move the session to its end; yields what it says of its progress, a tenth of a phase at a time."""
    said = None
    while now.busy or now.finished:
        if now.queue.paused and not now.installing:
            return
        now.step()
        told = (now.progress.name, int(10 * now.progress.factor))
        if told != said:
            said = told
            yield now.progress_text
        time.sleep(TURN_S)
    now.step()


def _end(now: session.BlenderSession) -> None:
    while now.busy:
        now.step()
        time.sleep(TURN_S)


CLASSES = (SKYLOOP_OT_wait,)
