"""LoRA files of the scene: added, taken out, and as a request says them."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, CollectionProperty, StringProperty

from ...backend.controls import MAX_LORAS
from ...backend.protocol import GenerateRequest, bad_request
from .. import places
from ..core.stock import BUILT_IN
from ..ui import Action


def requested(scene: bpy.types.Scene) -> tuple[tuple[str, float], ...]:
    """The files in use with their strengths. The built-in model has none; they stay for the next that has."""
    if scene.skyloop.model == BUILT_IN:
        return ()
    used = [lora for lora in scene.skyloop.models.loras if lora.enabled]
    return tuple((str(places.absolute(lora.path, scene)), round(lora.strength, 3)) for lora in used)


def recall(scene: bpy.types.Scene, request: GenerateRequest) -> None:
    """Set the files as an earlier request had them. Others stay in the list, switched off."""
    loras = scene.skyloop.models.loras
    there = {str(places.absolute(lora.path, scene)): lora for lora in loras}
    for lora in loras:
        lora.enabled = False
    for path, strength in request.loras:
        name = next((lora.name for known, lora in there.items() if known == path), "") or add(scene, Path(path))
        loras[name].strength, loras[name].enabled = strength, True


def add(scene: bpy.types.Scene, path: Path) -> str:
    """Add a file to the list; its name there."""
    settings = scene.skyloop.models
    taken, name, number = {lora.name for lora in settings.loras}, path.stem, 1
    while name in taken:
        number += 1
        name = f"{path.stem} {number}"
    made = settings.loras.add()
    made.name, made.path = name, str(path)  # the path last: it is looked at then
    settings.lora_index = len(settings.loras) - 1
    return name


def problems(scene: bpy.types.Scene) -> list[str]:
    """Why files in use cannot be used, as last looked."""
    if scene.skyloop.model == BUILT_IN:
        return []
    return [lora.problem for lora in scene.skyloop.models.loras if lora.enabled and lora.problem]


class SKYLOOP_OT_add_lora(Action, bpy.types.Operator):
    """Add LoRA files, which change the model: styles, subjects, or how it sees panoramas"""

    bl_idname = "skyloop.add_lora"
    bl_label = "Add LoRA Files"
    bl_options = {"REGISTER", "UNDO"}

    directory: StringProperty(name="Folder", description="Where the files are", subtype="DIR_PATH")
    files: CollectionProperty(
        name="Files", description="Their names", type=bpy.types.OperatorFileListElement, options={"SKIP_SAVE"}
    )
    filter_glob: StringProperty(default="*.safetensors", options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        full = len(context.scene.skyloop.models.loras) >= MAX_LORAS
        return f"There are {MAX_LORAS} LoRA files, which is the most" if full else ""

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def act(self, context: bpy.types.Context) -> None:
        names = [file.name for file in self.files if file.name]
        if not names:
            raise bad_request("No LoRA file was chosen.", "Choose one or more .safetensors files.")
        if len(names) + len(context.scene.skyloop.models.loras) > MAX_LORAS:
            raise bad_request(f"There can be {MAX_LORAS} LoRA files at most.", "Choose fewer.")
        for name in names:
            add(context.scene, Path(self.directory) / name)


class SKYLOOP_OT_remove_lora(Action, bpy.types.Operator):
    """Take the chosen LoRA file out of the list; the file stays"""

    bl_idname = "skyloop.remove_lora"
    bl_label = "Remove LoRA File"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if context.scene.skyloop.models.loras else "There is no LoRA file"

    def act(self, context: bpy.types.Context) -> None:
        settings = context.scene.skyloop.models
        settings.loras.remove(min(settings.lora_index, len(settings.loras) - 1))
        settings.lora_index = max(0, settings.lora_index - 1)


class SKYLOOP_OT_leave_out_loras(Action, bpy.types.Operator):
    """Make the next sky without LoRA files; they stay in the list"""

    bl_idname = "skyloop.leave_out_loras"
    bl_label = "Leave Them Out"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        for lora in context.scene.skyloop.models.loras:
            lora.enabled = False


OPERATORS = (SKYLOOP_OT_add_lora, SKYLOOP_OT_remove_lora, SKYLOOP_OT_leave_out_loras)
