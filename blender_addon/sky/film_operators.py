"""The film of a sky: found again when it is missing, written as pictures, kept as an asset."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ...backend.protocol import bad_request
from ..ui import Action, tr
from . import asset, missing, sequence, work, world
from .light_operators import OfSky


class SKYLOOP_OT_find_film(OfSky, bpy.types.Operator):
    """Look for the film of this sky beside the file and among your skies"""

    bl_idname = "skyloop.find_film"
    bl_label = "Find"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        missing.relocate(context.scene.world, missing.find(context.scene.world))


class SKYLOOP_OT_choose_film(OfSky, bpy.types.Operator):
    """Choose the film that this sky shows"""

    bl_idname = "skyloop.choose_film"
    bl_label = "Choose File..."
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(name="Film", description="A 360° movie or picture", subtype="FILE_PATH")
    filter_movie: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_image: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def act(self, context: bpy.types.Context) -> None:
        missing.relocate(context.scene.world, Path(bpy.path.abspath(self.filepath)))


class SKYLOOP_OT_write_sequence(OfSky, bpy.types.Operator):
    """Write the film as numbered pictures and show those instead of the movie. Blender stays usable"""

    bl_idname = "skyloop.write_sequence"
    bl_label = "Use as Image Sequence"
    bl_options = {"REGISTER"}  # No UNDO: it writes files; showing them is an operator of its own.

    file_format: EnumProperty(
        name="Format", description="Of the pictures", items=[(k, n, t) for k, n, t in sequence.FORMATS]
    )

    def act(self, context: bpy.types.Context) -> None:
        sequence.write(context.scene.world, self.file_format)


class SKYLOOP_OT_show_sequence(Action, bpy.types.Operator):
    """Show the numbered pictures in a folder instead of the movie"""

    bl_idname = "skyloop.show_sequence"
    bl_label = "Show Image Sequence"
    bl_options = {"REGISTER", "UNDO"}

    world: StringProperty(name="World", description="The sky; empty is that of the scene", options={"SKIP_SAVE"})
    folder: StringProperty(name="Folder", description="Where the pictures are", subtype="DIR_PATH")

    def act(self, context: bpy.types.Context) -> None:
        sky = bpy.data.worlds.get(self.world) if self.world else context.scene.world
        if not world.is_sky(sky):
            raise bad_request("This World is not a Skyloop sky.")
        sequence.show(sky, Path(bpy.path.abspath(self.folder)))


class SKYLOOP_OT_show_movie(OfSky, bpy.types.Operator):
    """Show the movie again instead of its pictures"""

    bl_idname = "skyloop.show_movie"
    bl_label = "Use as Movie"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: bpy.types.Context) -> None:
        sequence.show_movie(context.scene.world)


class SKYLOOP_OT_cancel_work(Action, bpy.types.Operator):
    """Stop this work"""

    bl_idname = "skyloop.cancel_work"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    def act(self, context: bpy.types.Context) -> None:
        work.cancel()


class SKYLOOP_OT_dismiss_work(Action, bpy.types.Operator):
    """Hide this message"""

    bl_idname = "skyloop.dismiss_work"
    bl_label = "Dismiss"
    bl_options = {"INTERNAL"}

    def act(self, context: bpy.types.Context) -> None:
        work.dismiss()


class SKYLOOP_OT_save_asset(OfSky, bpy.types.Operator):
    """Put this sky into an asset library, to drag it into other files. The open file stays as it is"""

    bl_idname = "skyloop.save_asset"
    bl_label = "Save as Asset"
    bl_options = {"REGISTER"}  # No UNDO: only files are written.

    target: StringProperty(name="Library", description="The asset library that gets the sky")
    copy_film: BoolProperty(
        name="Copy the Film",
        description="Put the film beside the asset; else the asset needs it where it is now",
        default=True,
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        if reason := super().why_not(context):
            return reason
        known = context.preferences.filepaths.asset_libraries
        if any(item.path for item in known):
            return ""
        return "There is no asset library yet: add one in Preferences > File Paths > Asset Libraries"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.target = self.target or next(iter(asset.folders()), "")
        self.copy_film = not sequence.is_sequence(context.scene.world)  # pictures may be gigabytes
        return context.window_manager.invoke_props_dialog(self)

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop_search(self, "target", context.preferences.filepaths, "asset_libraries")
        layout.prop(self, "copy_film")

    def act(self, context: bpy.types.Context) -> None:
        known = asset.folders()
        chosen = self.target or next(iter(known), "")
        if chosen not in known:
            raise bad_request(f"The folder of the asset library {chosen} is not there. Choose another library.")
        made = asset.save(context.scene.world, known[chosen], copy_film=self.copy_film)
        self.report({"INFO"}, tr(f"Saved in {chosen}: {made.stem}"))


CLASSES = (
    SKYLOOP_OT_find_film,
    SKYLOOP_OT_choose_film,
    SKYLOOP_OT_write_sequence,
    SKYLOOP_OT_show_sequence,
    SKYLOOP_OT_show_movie,
    SKYLOOP_OT_cancel_work,
    SKYLOOP_OT_dismiss_work,
    SKYLOOP_OT_save_asset,
)
