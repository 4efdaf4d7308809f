"""What can be done with the work that is under way, waits, or failed."""

import contextlib
import sys
from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from ...backend.protocol import SkyloopError
from .. import logs, session
from ..core import jobs
from ..core.state import State
from ..ui import Action

REPORT_LOG_BYTES = 8000


class SKYLOOP_OT_cancel(Action, bpy.types.Operator):
    """Stop the present work"""

    bl_idname = "skyloop.cancel"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        now = session.current()
        if now.state is State.CANCELLING:
            return "It stops as soon as the present step is done"
        return "" if now.installing or now.job else "Nothing is being made"

    def act(self, context: bpy.types.Context) -> None:
        session.current().cancel()


class SKYLOOP_OT_release(Action, bpy.types.Operator):
    """Stop the idle or paused generator and give its memory back at once; the next run starts it again"""

    bl_idname = "skyloop.release"
    bl_label = "Release Memory"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        now = session.current()
        if now.client is None:
            return "The generator is not running and holds no memory"
        return "A sky is being made: pause it first" if now.job and not now.queue.paused else ""

    def act(self, context: bpy.types.Context) -> None:
        session.current().release()


class SKYLOOP_OT_pause(Action, bpy.types.Operator):
    """Let the present sky and those after it wait, to have the machine for something else"""

    bl_idname = "skyloop.pause"
    bl_label = "Pause"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        now = session.current()
        if now.queue.paused:
            return "It is paused already"
        return "" if now.queue.tasks else "Nothing is being made"

    def act(self, context: bpy.types.Context) -> None:
        session.current().pause()


class SKYLOOP_OT_resume_queue(Action, bpy.types.Operator):
    """Go on with the skies in the queue"""

    bl_idname = "skyloop.resume_queue"
    bl_label = "Go On"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if session.current().queue.paused else "It is not paused"

    def act(self, context: bpy.types.Context) -> None:
        session.current().resume()
        session.wake()


class SKYLOOP_OT_queue_remove(Action, bpy.types.Operator):
    """Take this sky out of the queue"""

    bl_idname = "skyloop.queue_remove"
    bl_label = "Remove"
    bl_options = {"REGISTER"}

    job: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def act(self, context: bpy.types.Context) -> None:
        session.current().remove(Path(self.job))


class SKYLOOP_OT_queue_move(Action, bpy.types.Operator):
    """Make this sky earlier or later than its neighbour in the queue"""

    bl_idname = "skyloop.queue_move"
    bl_label = "Move"
    bl_options = {"REGISTER"}

    job: StringProperty(options={"SKIP_SAVE", "HIDDEN"})
    direction: EnumProperty(items=(("UP", "Earlier", ""), ("DOWN", "Later", "")), options={"SKIP_SAVE", "HIDDEN"})

    def act(self, context: bpy.types.Context) -> None:
        session.current().move(Path(self.job), -1 if self.direction == "UP" else 1)


class SKYLOOP_OT_resume_job(Action, bpy.types.Operator):
    """Make this unfinished sky, from its last checkpoint where it has one"""

    bl_idname = "skyloop.resume_job"
    bl_label = "Resume"
    bl_options = {"REGISTER"}

    job: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return session.current().why_not

    def act(self, context: bpy.types.Context) -> None:
        folder = jobs.known(Path(self.job), session.current().roots())
        session.current().resume_for(context.scene, jobs.read(folder))
        session.wake()


class SKYLOOP_OT_open_log(Action, bpy.types.Operator):
    """Open the log of the failed run in Blender's text editor"""

    bl_idname = "skyloop.open_log"
    bl_label = "Show Log"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        problem = session.current().problem
        return "" if problem and problem.log else "There is no log for this"

    def act(self, context: bpy.types.Context) -> None:
        problem = session.current().problem
        assert problem and problem.log
        logs.show(context, problem.log)


class SKYLOOP_OT_copy_report(Action, bpy.types.Operator):
    """Copy the error with its log to the clipboard, to paste into a report"""

    bl_idname = "skyloop.copy_report"
    bl_label = "Copy Report"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if session.current().problem else "Nothing has failed"

    def act(self, context: bpy.types.Context) -> None:
        problem = session.current().problem
        assert problem
        log = ""
        if problem.log:
            with contextlib.suppress(OSError, SkyloopError):
                log = logs.end_of(problem.log, REPORT_LOG_BYTES)
        system = f"Skyloop in Blender {bpy.app.version_string} on {sys.platform}"
        context.window_manager.clipboard = f"{system}\n{problem.kind}: {problem.line}\n\n{log}"
        self.report({"INFO"}, "The report is on the clipboard")


class SKYLOOP_OT_hide_notice(Action, bpy.types.Operator):
    """Hide this message"""

    bl_idname = "skyloop.hide_notice"
    bl_label = "Hide"
    bl_options = {"INTERNAL"}

    def act(self, context: bpy.types.Context) -> None:
        session.current().hide_notice()


class SKYLOOP_OT_dismiss(Action, bpy.types.Operator):
    """Hide this message"""

    bl_idname = "skyloop.dismiss"
    bl_label = "Dismiss"
    bl_options = {"INTERNAL"}

    def act(self, context: bpy.types.Context) -> None:
        session.current().dismiss()


CLASSES = (
    SKYLOOP_OT_cancel,
    SKYLOOP_OT_release,
    SKYLOOP_OT_pause,
    SKYLOOP_OT_resume_queue,
    SKYLOOP_OT_queue_remove,
    SKYLOOP_OT_queue_move,
    SKYLOOP_OT_resume_job,
    SKYLOOP_OT_open_log,
    SKYLOOP_OT_copy_report,
    SKYLOOP_OT_hide_notice,
    SKYLOOP_OT_dismiss,
)
