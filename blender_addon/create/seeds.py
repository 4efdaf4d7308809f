"""The seed: drawn anew, taken along, brought back."""

import bpy

from ...backend.protocol import bad_request
from ..ui import Action, tr
from .properties import MAX_SEED
from .request import new_seed


class SKYLOOP_OT_new_seed(Action, bpy.types.Operator):
    """Draw another seed and keep it"""

    bl_idname = "skyloop.new_seed"
    bl_label = "New Seed"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        new_seed(context.scene.skyloop)
        context.scene.skyloop.random_seed = False


class SKYLOOP_OT_copy_seed(Action, bpy.types.Operator):
    """Copy the seed to the clipboard"""

    bl_idname = "skyloop.copy_seed"
    bl_label = "Copy Seed"
    bl_options = {"REGISTER"}

    def act(self, context: bpy.types.Context) -> None:
        seed = context.scene.skyloop.seed
        context.window_manager.clipboard = str(seed)
        self.report({"INFO"}, tr(f"Seed {seed} is on the clipboard"))


class SKYLOOP_OT_paste_seed(Action, bpy.types.Operator):
    """Take the seed from the clipboard and keep it"""

    bl_idname = "skyloop.paste_seed"
    bl_label = "Paste Seed"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        text = context.window_manager.clipboard.strip()
        if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= MAX_SEED):
            shown = " ".join(text.split())[:40]
            message = f"The clipboard has no seed but {shown!r}." if shown else "The clipboard is empty."
            raise bad_request(message, f"Copy a whole number up to {MAX_SEED} first.")
        context.scene.skyloop.seed, context.scene.skyloop.random_seed = int(text), False


CLASSES = (SKYLOOP_OT_new_seed, SKYLOOP_OT_copy_seed, SKYLOOP_OT_paste_seed)
