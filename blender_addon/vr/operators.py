"""Into the headset and out of it."""

import bpy

from ...backend.protocol import SkyloopError
from ..ui import Action
from . import preview


class SKYLOOP_OT_vr_preview(Action, bpy.types.Operator):
    """Show the scene with its sky in a VR headset, and play it"""

    bl_idname = "skyloop.vr_preview"
    bl_label = "Preview in VR"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        reason = preview.why_not()
        if not reason and preview.is_running():
            reason = "VR is running already: stop it first"
        if not reason and context.scene.skyloop.vr.base == "CAMERA" and not context.scene.camera:
            reason = "The scene has no active camera: add one, or stand at the scene's centre"
        return reason

    def act(self, context: bpy.types.Context) -> set[str] | None:
        try:
            preview.start(context)
        except SkyloopError as error:
            if preview.problem and self.options.is_invoke:  # the panel says more, and a pop-up would cover it
                self.report({"INFO"}, error.message)
                return {"CANCELLED"}
            raise
        return None


class SKYLOOP_OT_vr_stop(Action, bpy.types.Operator):
    """Leave VR; playback and Blender's VR settings become what they were before"""

    bl_idname = "skyloop.vr_stop"
    bl_label = "Stop VR"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if preview.is_ours() else "No VR preview is running"

    def act(self, context: bpy.types.Context) -> None:
        preview.stop()


class SKYLOOP_OT_vr_dismiss(Action, bpy.types.Operator):
    """Hide this message"""

    bl_idname = "skyloop.vr_dismiss"
    bl_label = "Dismiss"
    bl_options = {"INTERNAL"}

    def act(self, context: bpy.types.Context) -> None:
        preview.dismiss()


CLASSES = (SKYLOOP_OT_vr_preview, SKYLOOP_OT_vr_stop, SKYLOOP_OT_vr_dismiss)
