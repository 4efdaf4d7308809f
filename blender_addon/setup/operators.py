"""The buttons that make the generator's runtime."""

import bpy

from ...backend.protocol import SkyloopError
from .. import session
from ..ui import refused


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


CLASSES = (SKYLOOP_OT_install,)
