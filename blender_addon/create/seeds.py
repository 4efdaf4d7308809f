"""The seed: drawn anew, taken along, brought back."""

import bpy

from ...backend.protocol import bad_request
from ..ui import refused, tr
from .properties import MAX_SEED
from .request import new_seed


class SKYLOOP_OT_new_seed(bpy.types.Operator):
    """Draw another seed and keep it"""

    bl_idname = "skyloop.new_seed"
    bl_label = "New Seed"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        new_seed(context.scene.skyloop)
        context.scene.skyloop.random_seed = False
        return {"FINISHED"}


class SKYLOOP_OT_copy_seed(bpy.types.Operator):
    """Copy the seed to the clipboard"""

    bl_idname = "skyloop.copy_seed"
    bl_label = "Copy Seed"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        seed = context.scene.skyloop.seed
        context.window_manager.clipboard = str(seed)
        self.report({"INFO"}, tr(f"Seed {seed} is on the clipboard"))
        return {"FINISHED"}


class SKYLOOP_OT_paste_seed(bpy.types.Operator):
    """Take the seed from the clipboard and keep it"""

    bl_idname = "skyloop.paste_seed"
    bl_label = "Paste Seed"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        text = context.window_manager.clipboard.strip()
        if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= MAX_SEED):
            shown = " ".join(text.split())[:40]
            message = f"The clipboard has no seed but {shown!r}." if shown else "The clipboard is empty."
            return refused(self, bad_request(message, f"Copy a whole number up to {MAX_SEED} first."))
        context.scene.skyloop.seed, context.scene.skyloop.random_seed = int(text), False
        return {"FINISHED"}


CLASSES = (SKYLOOP_OT_new_seed, SKYLOOP_OT_copy_seed, SKYLOOP_OT_paste_seed)
