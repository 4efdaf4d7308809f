"""Everything a user can press. Operators only check, call and report; the work is in ``session`` and ``world``."""

import contextlib
import random
import sys
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ..backend.media.files import read_tail
from ..backend.protocol import SkyloopError
from . import places, session, world
from .core import jobs
from .core.state import State

REPORT_LOG_BYTES = 8000
SHOWN_LOG_BYTES = 4 << 20


def refused(operator: bpy.types.Operator, error: SkyloopError) -> set[str]:
    """Show the error as Blender shows errors; the operator returns what this returns."""
    operator.report({"ERROR"}, error.line)
    return {"CANCELLED"}


def why_not_generate(context: bpy.types.Context) -> str:
    """What stands in the way of Generate, as a sentence; empty when nothing does."""
    now = session.current()
    if now.installing:
        return f"{now.label}: wait for it, or cancel it"
    if now.not_installed:
        return "The generator is not installed yet: press Install"
    problems = context.scene.skyloop.request(device=places.device()).problems()
    return problems[0] if problems else ""


class SKYLOOP_OT_install(bpy.types.Operator):
    """Download and set up the generator in a folder of its own. Blender's own Python is not touched"""

    bl_idname = "skyloop.install"
    bl_label = "Install Generator"
    bl_options = {"REGISTER"}  # No UNDO: nothing in the file changes.

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not bpy.app.online_access:
            cls.poll_message_set(
                "The generator is downloaded once: allow online access in Preferences > System > Network. "
                "Everything works offline afterwards"
            )
            return False
        if session.current().busy:
            cls.poll_message_set("Wait until the queue is empty, or cancel what is in it")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if session.current().not_installed:
            return self.execute(context)
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            session.current().install()
        except SkyloopError as error:
            return refused(self, error)
        session.wake()
        return {"FINISHED"}


class SKYLOOP_OT_generate(bpy.types.Operator):
    """Make an animated 360° sky from the prompt, after those that are asked for already. Blender stays usable"""

    bl_idname = "skyloop.generate"
    bl_label = "Generate Sky"
    bl_options = {"REGISTER"}  # No UNDO: only applying the result changes the file.

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = why_not_generate(context)
        cls.poll_message_set(reason)
        return not reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.scene.skyloop
        if settings.random_seed:
            settings.seed = random.randrange(2**31)
        try:
            session.current().generate_for(context.scene, settings.request(device=places.device()))
        except SkyloopError as error:
            return refused(self, error)
        session.wake()
        return {"FINISHED"}


class SKYLOOP_OT_cancel(bpy.types.Operator):
    """Stop the present work"""

    bl_idname = "skyloop.cancel"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        now = session.current()
        stopping = now.state is State.CANCELLING
        cls.poll_message_set("It stops as soon as the present step is done" if stopping else "Nothing is being made")
        return (now.installing or now.job is not None) and not stopping

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().cancel()
        return {"FINISHED"}


class SKYLOOP_OT_release(bpy.types.Operator):
    """Stop the idle or paused generator and give its memory back at once; the next run starts it again"""

    bl_idname = "skyloop.release"
    bl_label = "Release Memory"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        now = session.current()
        if now.client is None:
            cls.poll_message_set("The generator is not running and holds no memory")
            return False
        cls.poll_message_set("A sky is being made: pause it first")
        return now.job is None or now.queue.paused

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().release()
        return {"FINISHED"}


class SKYLOOP_OT_pause(bpy.types.Operator):
    """Let the present sky and those after it wait, to have the machine for something else"""

    bl_idname = "skyloop.pause"
    bl_label = "Pause"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        now = session.current()
        cls.poll_message_set("It is paused already" if now.queue.paused else "Nothing is being made")
        return bool(now.queue.tasks) and not now.queue.paused

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().pause()
        return {"FINISHED"}


class SKYLOOP_OT_resume_queue(bpy.types.Operator):
    """Go on with the skies in the queue"""

    bl_idname = "skyloop.resume_queue"
    bl_label = "Go On"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        cls.poll_message_set("It is not paused")
        return session.current().queue.paused

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().resume()
        session.wake()
        return {"FINISHED"}


class SKYLOOP_OT_queue_remove(bpy.types.Operator):
    """Take this sky out of the queue"""

    bl_idname = "skyloop.queue_remove"
    bl_label = "Remove"
    bl_options = {"REGISTER"}

    job: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().remove(Path(self.job))
        return {"FINISHED"}


class SKYLOOP_OT_queue_move(bpy.types.Operator):
    """Make this sky earlier or later than its neighbour in the queue"""

    bl_idname = "skyloop.queue_move"
    bl_label = "Move"
    bl_options = {"REGISTER"}

    job: StringProperty(options={"SKIP_SAVE", "HIDDEN"})
    direction: EnumProperty(items=(("UP", "Earlier", ""), ("DOWN", "Later", "")), options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().move(Path(self.job), -1 if self.direction == "UP" else 1)
        return {"FINISHED"}


class SKYLOOP_OT_resume_job(bpy.types.Operator):
    """Make this unfinished sky, from its last checkpoint where it has one"""

    bl_idname = "skyloop.resume_job"
    bl_label = "Resume"
    bl_options = {"REGISTER"}

    job: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        now = session.current()
        cls.poll_message_set(f"{now.label}: wait for it, or cancel it" if now.installing else "Press Install first")
        return not now.installing and not now.not_installed

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            folder = jobs.known(Path(self.job), session.current().roots())
            session.current().resume_for(context.scene, jobs.read(folder))
        except SkyloopError as error:
            return refused(self, error)
        session.wake()
        return {"FINISHED"}


class SKYLOOP_OT_delete_job(bpy.types.Operator):
    """Delete the files of this sky from the disk"""

    bl_idname = "skyloop.delete_job"
    bl_label = "Delete from Disk"
    bl_options = {"REGISTER"}  # No UNDO: the files are gone.

    job: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        ask = context.window_manager.invoke_confirm
        name = Path(self.job).name
        return ask(self, event, title=self.bl_label, message=name, confirm_text="Delete", icon="WARNING")

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            session.current().delete(jobs.known(Path(self.job), session.current().roots()))
        except SkyloopError as error:
            return refused(self, error)
        session.wake()
        return {"FINISHED"}


class SKYLOOP_OT_apply_world(bpy.types.Operator):
    """Use this sky as the World of the scene. The World that was there is kept"""

    bl_idname = "skyloop.apply_world"
    bl_label = "Apply to World"
    bl_options = {"REGISTER", "UNDO"}

    job: StringProperty(name="Job Folder", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            world.apply(context.scene, jobs.read(Path(self.job)), front_deg=context.scene.skyloop.front_deg)
        except SkyloopError as error:
            return refused(self, error)
        return {"FINISHED"}


class SKYLOOP_OT_restore_world(bpy.types.Operator):
    """Bring back the World that this sky replaced"""

    bl_idname = "skyloop.restore_world"
    bl_label = "Restore Previous World"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return world.is_sky(context.scene.world)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            world.restore(context.scene)
        except SkyloopError as error:
            return refused(self, error)
        return {"FINISHED"}


class SKYLOOP_OT_front_from_camera(bpy.types.Operator):
    """Turn the sky so that its middle is where the active camera looks"""

    bl_idname = "skyloop.front_from_camera"
    bl_label = "From the Active Camera"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        cls.poll_message_set("The scene has no active camera")
        return context.scene.camera is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            context.scene.skyloop.front_deg = world.camera_front_deg(context.scene.camera)
        except SkyloopError as error:
            return refused(self, error)
        return {"FINISHED"}


class SKYLOOP_OT_match_timeline(bpy.types.Operator):
    """Make the scene play as its sky does: one frame of the movie is shown for each frame of the scene"""

    bl_idname = "skyloop.match_timeline"
    bl_label = "Match Scene to Sky"
    bl_options = {"REGISTER", "UNDO"}

    fps: BoolProperty(name="Frame Rate", description="Take over the sky's frame rate", default=True)
    frame_range: BoolProperty(name="Frame Range", description="Make the scene as long as one loop", default=False)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return world.is_sky(context.scene.world)

    def execute(self, context: bpy.types.Context) -> set[str]:
        world.match_timeline(context.scene, fps=self.fps, frame_range=self.frame_range)
        return {"FINISHED"}


class SKYLOOP_OT_recall(bpy.types.Operator):
    """Set prompt, seed and all other settings to those of this sky"""

    bl_idname = "skyloop.recall"
    bl_label = "Use These Settings"
    bl_options = {"REGISTER", "UNDO"}

    job: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            context.scene.skyloop.recall(jobs.read(Path(self.job)).request)
        except SkyloopError as error:
            return refused(self, error)
        return {"FINISHED"}


class SKYLOOP_OT_open_folder(bpy.types.Operator):
    """Show the files of this sky"""

    bl_idname = "skyloop.open_folder"
    bl_label = "Open Folder"
    bl_options = {"REGISTER"}

    path: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            folder = jobs.known(Path(self.path), session.current().roots())
        except SkyloopError as error:
            return refused(self, error)
        return bpy.ops.wm.path_open(filepath=str(folder))


class SKYLOOP_OT_open_log(bpy.types.Operator):
    """Open the log of the failed run in Blender's text editor"""

    bl_idname = "skyloop.open_log"
    bl_label = "Show Log"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        problem = session.current().problem
        cls.poll_message_set("There is no log for this")
        return bool(problem and problem.log)

    def execute(self, context: bpy.types.Context) -> set[str]:
        problem = session.current().problem
        assert problem and problem.log
        try:
            text = _end_of(problem.log, SHOWN_LOG_BYTES)
        except (OSError, SkyloopError) as error:
            self.report({"ERROR"}, f"The log {problem.log} cannot be read: {error}")
            return {"CANCELLED"}
        block = bpy.data.texts.get("Skyloop Log") or bpy.data.texts.new("Skyloop Log")
        block.from_string(text)
        if context.window:
            bpy.ops.wm.window_new()
            area = context.window_manager.windows[-1].screen.areas[0]
            area.type = "TEXT_EDITOR"
            area.spaces.active.text = block
            block.cursor_set(0)
        return {"FINISHED"}


def _end_of(log: Path, limit_bytes: int) -> str:
    return read_tail(log, limit_bytes).decode("utf-8", errors="replace")


class SKYLOOP_OT_copy_report(bpy.types.Operator):
    """Copy the error with its log to the clipboard, to paste into a report"""

    bl_idname = "skyloop.copy_report"
    bl_label = "Copy Report"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return session.current().problem is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        problem = session.current().problem
        assert problem
        log = ""
        if problem.log:
            with contextlib.suppress(OSError, SkyloopError):
                log = _end_of(problem.log, REPORT_LOG_BYTES)
        system = f"Skyloop in Blender {bpy.app.version_string} on {sys.platform}"
        context.window_manager.clipboard = f"{system}\n{problem.kind}: {problem.line}\n\n{log}"
        self.report({"INFO"}, "The report is on the clipboard")
        return {"FINISHED"}


class SKYLOOP_OT_dismiss(bpy.types.Operator):
    """Hide this message"""

    bl_idname = "skyloop.dismiss"
    bl_label = "Dismiss"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().dismiss()
        return {"FINISHED"}


class SKYLOOP_OT_refresh_history(bpy.types.Operator):
    """Look again for skies on the disk"""

    bl_idname = "skyloop.refresh_history"
    bl_label = "Refresh"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().scan_history()
        session.wake()
        return {"FINISHED"}


CLASSES = (
    SKYLOOP_OT_install,
    SKYLOOP_OT_generate,
    SKYLOOP_OT_cancel,
    SKYLOOP_OT_release,
    SKYLOOP_OT_pause,
    SKYLOOP_OT_resume_queue,
    SKYLOOP_OT_queue_remove,
    SKYLOOP_OT_queue_move,
    SKYLOOP_OT_resume_job,
    SKYLOOP_OT_delete_job,
    SKYLOOP_OT_apply_world,
    SKYLOOP_OT_restore_world,
    SKYLOOP_OT_front_from_camera,
    SKYLOOP_OT_match_timeline,
    SKYLOOP_OT_recall,
    SKYLOOP_OT_open_folder,
    SKYLOOP_OT_open_log,
    SKYLOOP_OT_copy_report,
    SKYLOOP_OT_dismiss,
    SKYLOOP_OT_refresh_history,
)
