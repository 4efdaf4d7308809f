"""What can be done with a sky that was made earlier."""

from pathlib import Path

import bpy
from bpy.props import StringProperty

from ...backend.protocol import SkyloopError
from .. import session
from ..core import jobs
from ..create.request import recall
from ..ui import refused


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


class SKYLOOP_OT_recall(bpy.types.Operator):
    """Set prompt, seed and all other settings to those of this sky"""

    bl_idname = "skyloop.recall"
    bl_label = "Use These Settings"
    bl_options = {"REGISTER", "UNDO"}

    job: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            recall(context.scene, jobs.read(Path(self.job)).request)
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
    SKYLOOP_OT_delete_job,
    SKYLOOP_OT_recall,
    SKYLOOP_OT_open_folder,
    SKYLOOP_OT_refresh_history,
)
