"""Into the headset and out of it."""

import bpy

from ...backend.protocol import SkyloopError
from ..ui import refused, tr
from . import preview


class SKYLOOP_OT_vr_preview(bpy.types.Operator):
    """Show the scene with its sky in a VR headset, and play it"""

    bl_idname = "skyloop.vr_preview"
    bl_label = "Preview in VR"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = preview.why_not()
        if not reason and preview.is_running():
            reason = "VR is running already: stop it first"
        if not reason and context.scene.skyloop.vr.base == "CAMERA" and not context.scene.camera:
            reason = "The scene has no active camera: add one, or stand at the scene's centre"
        cls.poll_message_set(tr(reason))
        return not reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            preview.start(context)
        except SkyloopError as error:
            if preview.problem and self.options.is_invoke:  # the panel says more, and a pop-up would cover it
                self.report({"INFO"}, error.message)
                return {"CANCELLED"}
            return refused(self, error)
        return {"FINISHED"}


class SKYLOOP_OT_vr_stop(bpy.types.Operator):
    """Leave VR; playback and Blender's VR settings become what they were before"""

    bl_idname = "skyloop.vr_stop"
    bl_label = "Stop VR"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        cls.poll_message_set(tr("No VR preview is running"))
        return preview.is_ours()

    def execute(self, context: bpy.types.Context) -> set[str]:
        preview.stop()
        return {"FINISHED"}


class SKYLOOP_OT_vr_dismiss(bpy.types.Operator):
    """Hide this message"""

    bl_idname = "skyloop.vr_dismiss"
    bl_label = "Dismiss"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        preview.dismiss()
        return {"FINISHED"}


CLASSES = (SKYLOOP_OT_vr_preview, SKYLOOP_OT_vr_stop, SKYLOOP_OT_vr_dismiss)
