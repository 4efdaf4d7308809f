"""Presets in Blender: taken over, kept under a name, overwritten, deleted."""

import bpy
from bpy.props import BoolProperty, StringProperty

from ...backend.protocol import SkyloopError, bad_request
from ..core import presets
from ..ui import Action, paragraph
from . import catalogue
from .request import assign


def settings_now(scene: bpy.types.Scene, *, prompt: bool) -> dict[str, presets.Value]:
    """What a new preset keeps of the scene."""
    settings = scene.skyloop
    names = presets.FIELDS if prompt else presets.WITHOUT_PROMPT
    values = {name: getattr(settings, name) for name in names}
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}


def is_set(scene: bpy.types.Scene, preset: presets.Preset) -> bool:
    """Whether the scene is as the preset has it."""
    now = settings_now(scene, prompt=True)
    return all(now[name] == value for name, value in preset.settings.items())


class SKYLOOP_OT_apply_preset(Action, bpy.types.Operator):
    """Set everything that this preset keeps"""

    bl_idname = "skyloop.apply_preset"
    bl_label = "Apply Preset"
    bl_options = {"REGISTER", "UNDO"}

    name: StringProperty(name="Name", description="The name of the preset", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        preset = catalogue.shelf().find(properties.name)
        return (preset.description if preset else "") or cls.__doc__ or ""

    def act(self, context: bpy.types.Context) -> None:
        try:
            preset = catalogue.shelf().find(self.name)
            if preset and preset.file:  # it may have been written since, by another Blender
                preset = presets.read(preset.file)
            if preset is None:
                raise bad_request(f"There is no preset {self.name!r}.", "See the menu beside the quality.")
        except SkyloopError:
            catalogue.look()
            raise
        assign(context.scene.skyloop, preset.settings)


class SKYLOOP_OT_save_preset(Action, bpy.types.Operator):
    """Keep the present settings under this name, without the seed"""

    bl_idname = "skyloop.save_preset"
    bl_label = "Save Preset"
    bl_options = {"REGISTER"}  # No UNDO: it is a file.

    name: StringProperty(
        name="Name", description="The name of the preset", maxlen=presets.MAX_NAME_CHARS, options={"SKIP_SAVE"}
    )
    include_prompt: BoolProperty(name="With the Prompt", description="Keep the prompt, too", options={"SKIP_SAVE"})
    overwrite: BoolProperty(
        name="Overwrite", description="Replace the preset of that name", options={"SKIP_SAVE", "HIDDEN"}
    )

    def act(self, context: bpy.types.Context) -> None:
        try:
            settings = settings_now(context.scene, prompt=self.include_prompt)
            presets.save(catalogue.presets_folder(), self.name, settings, overwrite=self.overwrite)
        finally:
            catalogue.look()
        context.window_manager.preset_name = "New Preset"


class SKYLOOP_OT_delete_preset(Action, bpy.types.Operator):
    """Delete this preset from the disk"""

    bl_idname = "skyloop.delete_preset"
    bl_label = "Delete Preset"
    bl_options = {"REGISTER"}

    name: StringProperty(name="Name", description="The name of the preset", options={"SKIP_SAVE"})

    def act(self, context: bpy.types.Context) -> None:
        try:
            presets.delete(catalogue.presets_folder(), self.name)
        finally:
            catalogue.look()


class SKYLOOP_PT_presets(bpy.types.Panel):
    bl_label = "Presets"
    bl_description = "Settings under a name: those of Skyloop and your own"
    bl_space_type = "VIEW_3D"
    bl_region_type = "HEADER"  # as Blender's own: a popover, in no tab
    bl_options = {"INSTANCED"}
    bl_ui_units_x = 11

    def draw(self, context: bpy.types.Context) -> None:
        layout, shelf = self.layout, catalogue.shelf()
        layout.label(text="Presets")
        column = layout.column(align=True)
        for preset in (*presets.BUILT_IN, *shelf.presets):
            row = column.row(align=True)
            icon = "CHECKMARK" if is_set(context.scene, preset) else "BLANK1"
            button = row.operator(SKYLOOP_OT_apply_preset.bl_idname, text=preset.name, icon=icon, translate=False)
            button.name = preset.name
            if preset.file:
                button = row.operator(SKYLOOP_OT_save_preset.bl_idname, text="", icon="FILE_TICK")
                button.name, button.overwrite = preset.name, True
                button.include_prompt = "prompt" in preset.settings
                row.operator(SKYLOOP_OT_delete_preset.bl_idname, text="", icon="REMOVE").name = preset.name
        for broken in shelf.broken:
            row = layout.row(align=True)
            column = row.column()
            column.alert = True
            paragraph(column, context, broken.reason, icon="ERROR", beside=1.0)
            row.operator(SKYLOOP_OT_delete_preset.bl_idname, text="", icon="REMOVE").name = broken.file.name
        row = layout.row(align=True)
        row.prop(context.window_manager, "preset_name", text="")
        row.operator(SKYLOOP_OT_save_preset.bl_idname, text="", icon="ADD").name = context.window_manager.preset_name


OPERATORS = (SKYLOOP_OT_apply_preset, SKYLOOP_OT_save_preset, SKYLOOP_OT_delete_preset)
PANELS = (SKYLOOP_PT_presets,)
