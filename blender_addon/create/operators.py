"""The button that makes a sky, and those that set right what keeps it from being made."""

from dataclasses import replace
from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from ...backend.protocol import bad_request
from .. import places, session
from ..core.checks import Fix
from ..core.styles import EXAMPLES
from ..direct.request import prepare
from ..ui import Action, tr
from .request import assign, found_in, new_seed, request_of, why_not_generate


class SKYLOOP_OT_generate(Action, bpy.types.Operator):
    """Make an animated 360° sky from the prompt, after those that are asked for already. Blender stays usable"""

    bl_idname = "skyloop.generate"
    bl_label = "Generate Sky"
    bl_options = {"REGISTER"}  # No UNDO: only applying the result changes the file.

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return why_not_generate(context)

    def act(self, context: bpy.types.Context) -> None:
        scene = context.scene
        if scene.skyloop.random_seed:
            new_seed(scene.skyloop)
        request = request_of(scene, device=places.device())
        request = replace(request, **prepare(scene, places.output_root()))
        session.current().generate_for(scene, request)
        session.wake()


class SKYLOOP_OT_fix(Action, bpy.types.Operator):
    """Set this right"""

    bl_idname = "skyloop.fix"
    bl_label = "Fix"
    bl_options = {"REGISTER", "UNDO"}

    check: StringProperty(name="Problem", description="Which one, such as size", options={"SKIP_SAVE", "HIDDEN"})

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        check = next((c for c in found_in(context) if c.id == properties.check), None)
        return tr(check.message).rstrip(".") if check else cls.__doc__ or ""

    def act(self, context: bpy.types.Context) -> set[str] | None:
        check = next((c for c in found_in(context) if c.id == self.check), None)
        if check is None or check.fix is None:
            raise bad_request(f"There is nothing to set right about {self.check or 'that'}.")
        if check.fix.operator:
            return _call(context, check.fix)
        assign(context.scene.skyloop, check.fix.settings)
        return None


def _call(context: bpy.types.Context, fix: Fix) -> set[str]:
    category, _, name = fix.operator.partition(".")
    how = "INVOKE_DEFAULT" if context.window else "EXEC_DEFAULT"
    return getattr(getattr(bpy.ops, category), name)(how, **fix.arguments)


class SKYLOOP_OT_choose_output_folder(Action, bpy.types.Operator):
    """Choose where new skies are kept, such as a disk with more space"""

    bl_idname = "skyloop.choose_output_folder"
    bl_label = "Choose Folder for Skies"
    bl_options = {"REGISTER"}

    directory: StringProperty(
        name="Folder", description="Where new skies are kept", subtype="DIR_PATH", options={"SKIP_SAVE"}
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if places.preferences() else "Skyloop is not in Blender's preferences"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def act(self, context: bpy.types.Context) -> None:
        found = places.preferences()
        assert found
        if not Path(bpy.path.abspath(self.directory or "")).is_dir():
            raise bad_request(f"{self.directory or 'Nothing'} is no folder.", "Choose one.")
        found.output_folder = self.directory
        session.current().scan_history()
        session.wake()


class SKYLOOP_OT_use_prompt(Action, bpy.types.Operator):
    """Take this example as the prompt"""

    bl_idname = "skyloop.use_prompt"
    bl_label = "Use Prompt"
    bl_options = {"REGISTER", "UNDO"}

    prompt: StringProperty(
        name="Prompt", description="The words of the example", default=EXAMPLES[0], options={"SKIP_SAVE"}
    )

    def act(self, context: bpy.types.Context) -> None:
        context.scene.skyloop.prompt = self.prompt


class SKYLOOP_OT_choose_photo(Action, bpy.types.Operator):
    """Choose the picture that the sky starts from"""

    bl_idname = "skyloop.choose_photo"
    bl_label = "Choose a Picture"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(
        name="Picture", description="A PNG or JPEG file", subtype="FILE_PATH", options={"SKIP_SAVE"}
    )
    filter_image: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def act(self, context: bpy.types.Context) -> None:
        if not self.filepath:
            raise bad_request("No picture is chosen.", "Choose one.")
        context.scene.skyloop.direct.photo = self.filepath


class SKYLOOP_OT_choose_model(Action, bpy.types.Operator):
    """Make skies with this model"""

    bl_idname = "skyloop.choose_model"
    bl_label = "Choose Model"
    bl_options = {"REGISTER", "UNDO"}

    model: StringProperty(name="Model", description="The id of the model", default="builtin", options={"SKIP_SAVE"})

    def act(self, context: bpy.types.Context) -> None:
        context.scene.skyloop.model = self.model


CLASSES = (
    SKYLOOP_OT_generate,
    SKYLOOP_OT_fix,
    SKYLOOP_OT_choose_output_folder,
    SKYLOOP_OT_use_prompt,
    SKYLOOP_OT_choose_photo,
    SKYLOOP_OT_choose_model,
)
