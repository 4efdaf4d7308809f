"""The buttons that get a model, look after it, and take it away."""

from pathlib import Path
from typing import TYPE_CHECKING

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ...backend.models.catalogue import Entry, entries
from ...backend.models.catalogue import entry as entry_of
from ...backend.protocol import bad_request
from .. import session
from ..core.stock import gigabytes, known
from ..core.wrapping import wrapped
from ..ui import Action, tr
from . import shelf, work

OFFLINE = "It is downloaded once: allow online access first. Generating never needs it"
DIALOG_WIDTH = 420
LINE_CHARS = 62  # of a dialog of that width
# Blender keeps pointers into these strings, so they must live as long as it does.
PART_ITEMS = {name: (name, name, "") for entry in entries() for name in entry.architecture.denoisers}
Mixin = bpy.types.Operator if TYPE_CHECKING else object


class _Change(Action):
    """A change of the models, once nothing else changes them."""

    bl_options = {"REGISTER"}  # No UNDO: nothing in the file changes.

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        now = session.current()
        return work.why_not() or (now.why_not if now.not_installed or now.installing else "")


class _Licensed(Mixin):
    """Shows the licence of ``model`` and has it accepted, where it asks for that."""

    def asks(self) -> bool:
        """Whether the licence is yet to be accepted."""
        entry, held = entry_of(self.model), shelf.held(self.model)
        return entry.licence.accept and not (held and held.accepted)

    def consent(self) -> list[str]:
        """The words for the command line. Raises ``SkyloopError`` when the licence was not accepted."""
        entry = entry_of(self.model)
        if not self.asks():
            return []
        if not self.accept_licence:
            text = f"{entry.name} comes with the {entry.licence.name}, which you have not accepted."
            raise bad_request(text, "Read it, and accept it in the dialog.")
        return ["--accept-licence"]

    def draw_licence(self, layout: bpy.types.UILayout, entry: Entry) -> None:
        column = layout.column(align=True)
        column.label(text=entry.licence.name, icon="INFO", translate=False)
        for line in wrapped(tr(entry.licence.limits), LINE_CHARS):
            column.label(text=line, translate=False)
        if entry.licence.link:
            layout.operator("wm.url_open", text="Read the Licence", icon="URL").url = entry.licence.link
        if self.asks():
            layout.prop(self, "accept_licence")


class SKYLOOP_OT_get_model(_Change, _Licensed, bpy.types.Operator):
    bl_idname = "skyloop.get_model"
    bl_label = "Get Model"
    bl_description = (
        "Download this model, or go on with it. Blender stays usable; it can be cancelled, and goes on from there. "
        "What other models or programs have of it already is not downloaded again"
    )

    model: StringProperty(name="Model", description="The id of the model", options={"SKIP_SAVE"})
    accept_licence: BoolProperty(
        name="I have read the licence and accept it",
        description="What you make with the model is subject to its licence, too",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return super().why_not(context) or ("" if bpy.app.online_access else OFFLINE)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self.asks():
            return self.execute(context)
        ask = context.window_manager.invoke_props_dialog
        return ask(self, width=DIALOG_WIDTH, title=entry_of(self.model).name, confirm_text="Get Model")

    def draw(self, context: bpy.types.Context) -> None:
        entry = entry_of(self.model)
        text = tr("Downloads {size}, once.").format(size=gigabytes(entry.size_mb))
        self.layout.label(text=text, icon="IMPORT", translate=False)
        self.draw_licence(self.layout, entry)

    def act(self, context: bpy.types.Context) -> None:
        entry = entry_of(self.model)
        work.start(f"Getting {entry.name}", "download", entry.id, *self.consent(), model=entry.id)


class SKYLOOP_OT_cancel_model(Action, bpy.types.Operator):
    """Stop this. A download goes on from there when you get the model again"""

    bl_idname = "skyloop.cancel_model"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if work.current() else "Nothing is under way"

    def act(self, context: bpy.types.Context) -> None:
        work.cancel()


class SKYLOOP_OT_remove_model(_Change, bpy.types.Operator):
    """Remove this model from the disk. What other models need of it stays; files of your own are only let go"""

    bl_idname = "skyloop.remove_model"
    bl_label = "Remove Model"

    model: StringProperty(name="Model", description="The id of the model", options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        held = shelf.held(self.model)
        if held and held.own:
            text = tr("{files} stays where it is.").format(files=held.own[0])
        else:
            text = tr("Frees up to {size}.").format(size=gigabytes(held.mb if held else 0.0))
        ask = context.window_manager.invoke_confirm
        name = entry_of(self.model).name
        return ask(self, event, title=name, message=text, confirm_text="Remove Model", icon="WARNING")

    def act(self, context: bpy.types.Context) -> None:
        entry = entry_of(self.model)
        work.start(f"Removing {entry.name}", "remove", entry.id)


class SKYLOOP_OT_verify_model(_Change, bpy.types.Operator):
    """Read every file of this model and compare it with what was downloaded. Takes some minutes for a large one"""

    bl_idname = "skyloop.verify_model"
    bl_label = "Verify"

    model: StringProperty(name="Model", description="The id of the model", options={"SKIP_SAVE"})

    def act(self, context: bpy.types.Context) -> None:
        entry = entry_of(self.model)
        work.start(f"Checking {entry.name}", "verify", entry.id)


def _parts(self: "SKYLOOP_OT_add_model", context: bpy.types.Context) -> list[tuple[str, str, str]]:
    """The denoisers of a model, of which a file is one."""
    entry = known().get(getattr(self, "model", ""))
    return [PART_ITEMS[name] for name in entry.architecture.denoisers] if entry else list(PART_ITEMS.values())


class SKYLOOP_OT_add_model(_Change, _Licensed, bpy.types.Operator):
    bl_idname = "skyloop.add_model"
    bl_label = "Use My Own"
    bl_description = (
        "Use a folder with this model that you have already, or one .safetensors or GGUF file of its denoiser, "
        "where it lies. Nothing of it is copied or changed"
    )

    model: StringProperty(name="Model", description="The id of the model", options={"SKIP_SAVE", "HIDDEN"})
    filepath: StringProperty(
        name="Path",
        description="A folder in diffusers' layout, or a file",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    part: EnumProperty(name="Part", description="Which of the two a file is", items=_parts, options={"SKIP_SAVE"})
    accept_licence: BoolProperty(
        name="I have read the licence and accept it",
        description="What you make with the model is subject to its licence, too",
        options={"SKIP_SAVE"},
    )
    filter_glob: StringProperty(default="*.safetensors;*.gguf", options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: bpy.types.Context) -> None:
        entry = entry_of(self.model)
        if len(entry.architecture.denoisers) > 1:
            self.layout.prop(self, "part")
        self.draw_licence(self.layout, entry)

    def act(self, context: bpy.types.Context) -> None:
        entry = entry_of(self.model)
        path = Path(bpy.path.abspath(self.filepath))
        if not self.filepath or not path.exists():
            raise bad_request(f"{self.filepath or 'Nothing'} is not there.", "Choose a folder or a file.")
        part = ["--part", self.part] if path.is_file() and self.part else []
        work.start(f"Reading {entry.name}", "add", entry.id, str(path), *part, *self.consent(), model=entry.id)


class SKYLOOP_OT_move_models(_Change, bpy.types.Operator):
    """Keep all models in another folder from now on, such as on a larger disk. It can be cancelled, and gone on with"""

    bl_idname = "skyloop.move_models"
    bl_label = "Move Models Here"

    directory: StringProperty(
        name="Folder", description="The folder to move to", subtype="DIR_PATH", options={"SKIP_SAVE"}
    )
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def act(self, context: bpy.types.Context) -> None:
        if not self.directory:
            raise bad_request("Nothing is no folder.", "Choose one.")
        work.start("Moving the models", "move", str(Path(bpy.path.abspath(self.directory)).absolute()))


class SKYLOOP_OT_look_at_models(Action, bpy.types.Operator):
    """Look again which models are on this computer"""

    bl_idname = "skyloop.look_at_models"
    bl_label = "Look Again"
    bl_options = {"REGISTER"}

    def act(self, context: bpy.types.Context) -> None:
        shelf.refresh()


class SKYLOOP_OT_dismiss_models(Action, bpy.types.Operator):
    """Hide this message"""

    bl_idname = "skyloop.dismiss_models"
    bl_label = "Dismiss"
    bl_options = {"INTERNAL"}

    def act(self, context: bpy.types.Context) -> None:
        work.dismiss()


CLASSES = (
    SKYLOOP_OT_get_model,
    SKYLOOP_OT_cancel_model,
    SKYLOOP_OT_remove_model,
    SKYLOOP_OT_verify_model,
    SKYLOOP_OT_add_model,
    SKYLOOP_OT_move_models,
    SKYLOOP_OT_look_at_models,
    SKYLOOP_OT_dismiss_models,
)
