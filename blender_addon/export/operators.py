"""Exporting a sky, and what can be done while that goes on and after."""

import bpy
from bpy.props import EnumProperty, StringProperty

from ...backend.protocol import bad_request
from .. import logs, session
from ..core.exporting import problems
from ..core.state import NOT_SET_UP
from ..ui import Action
from . import look, scene, work
from .choices import draw_choices
from .request import place_of, request_of, wants_scene
from .words import error_in_words


class SKYLOOP_OT_export_sky(Action, bpy.types.Operator):
    """Write the sky for where it is going to be used, as is chosen here. Blender stays usable meanwhile"""

    bl_idname = "skyloop.export_sky"
    bl_label = "Export Sky"
    bl_options = {"REGISTER"}  # No UNDO: only files are written.

    job: StringProperty(
        name="Sky",
        description="The folder of a sky, or a film; empty is what the scene's settings say",
        options={"SKIP_SAVE"},
    )
    folder: StringProperty(
        name="Folder",
        description="A new or empty folder; empty is what the scene's settings say",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )
    _waits = True  # from Python: there is a result when it returns

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        if work.current():
            return work.why_not()
        now = session.current()
        return now.why_not if now.state in NOT_SET_UP else ""

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._waits = False
        if not self.job:
            return self.execute(context)
        ask = context.window_manager.invoke_props_dialog
        return ask(self, width=360, title=self.bl_label, confirm_text="Export")

    def draw(self, context: bpy.types.Context) -> None:
        draw_choices(self.layout, context, self.job)

    def act(self, context: bpy.types.Context) -> None:
        owner = context.scene
        place = place_of(owner, self.job, self.folder)
        found = look.now(place)
        wanted = request_of(owner, found, place)
        if told := problems(wanted, found):
            raise error_in_words(told[0])
        scene_too = owner if wants_scene(owner.skyloop.export) else None
        if scene_too and (reason := scene.why_not()):
            raise bad_request(f"{reason}.", "Switch it on, or export without the scene.")
        if context.window and scene_too:
            context.window.cursor_set("WAIT")
        try:
            work.start(wanted, scene_too, wait=self._waits)
        finally:
            if context.window and scene_too:
                context.window.cursor_set("DEFAULT")


class SKYLOOP_OT_cancel_export(Action, bpy.types.Operator):
    """Stop the export. Nothing of it is left"""

    bl_idname = "skyloop.cancel_export"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if work.current() else "Nothing is under way"

    def act(self, context: bpy.types.Context) -> None:
        work.cancel()


class SKYLOOP_OT_dismiss_export(Action, bpy.types.Operator):
    """Hide this message"""

    bl_idname = "skyloop.dismiss_export"
    bl_label = "Dismiss"
    bl_options = {"INTERNAL"}

    def act(self, context: bpy.types.Context) -> None:
        work.dismiss()


class SKYLOOP_OT_open_export(Action, bpy.types.Operator):
    """Show what was exported last"""

    bl_idname = "skyloop.open_export"
    bl_label = "Open Export"
    bl_options = {"REGISTER"}

    what: EnumProperty(
        name="What",
        description="What is opened",
        items=(
            ("FOLDER", "Folder", "In the system's file manager"),
            ("FILE", "File", "The file to begin with, in the program that the system has for it"),
        ),
        options={"SKIP_SAVE"},
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if work.made() else "Nothing was exported yet"

    def act(self, context: bpy.types.Context) -> set[str]:
        ended = work.last()
        assert ended
        path = ended.out if self.what == "FOLDER" else ended.out / str(ended.tool.document["open"])
        if not path.exists():
            raise bad_request(f"{path} is gone.", "It was moved or deleted: export again.")
        return bpy.ops.wm.path_open(filepath=str(path))


class SKYLOOP_OT_export_log(Action, bpy.types.Operator):
    """Open the log of the failed export in Blender's text editor"""

    bl_idname = "skyloop.export_log"
    bl_label = "Show Log"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        ended = work.last()
        return "" if ended and ended.tool.log else "There is no log for this"

    def act(self, context: bpy.types.Context) -> None:
        ended = work.last()
        assert ended and ended.tool.log
        logs.show(context, ended.tool.log)


CLASSES = (
    SKYLOOP_OT_export_sky,
    SKYLOOP_OT_cancel_export,
    SKYLOOP_OT_dismiss_export,
    SKYLOOP_OT_open_export,
    SKYLOOP_OT_export_log,
)
