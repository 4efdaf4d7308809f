"""What belongs to the machine, not to a scene: folders, the device, and the runtime's installation."""

import bpy
from bpy.props import EnumProperty, StringProperty

from ..backend import runtime
from . import places, session

DEVICE_ITEMS = (
    ("auto", "Automatic", "The graphics card where there is one that fits, else the processor"),
    ("cuda", "NVIDIA GPU", "An NVIDIA graphics card"),
    ("mps", "Apple GPU", "The graphics part of an Apple processor"),
    ("cpu", "Processor", "The processor: works everywhere, slowly"),
)


def _changed(self: "SKYLOOP_preferences", context: bpy.types.Context) -> None:
    if self.runtime_folder.startswith("//"):  # relative to this file, where another file may have brought a program
        self.runtime_folder = bpy.path.abspath(self.runtime_folder)  # comes here again
        return
    session.runtime_moved()


class SKYLOOP_preferences(bpy.types.AddonPreferences):
    bl_idname = places.PACKAGE

    runtime_folder: StringProperty(
        name="Generator",
        description="Where the generator is installed; empty means your user data folder",
        subtype="DIR_PATH",
        update=_changed,
    )
    output_folder: StringProperty(
        name="Skies",
        description="Where skies are kept; empty means beside the .blend file, or Skyloop in your home folder",
        subtype="DIR_PATH",
    )
    device: EnumProperty(name="Device", description="What computes the skies", items=DEVICE_ITEMS, default="auto")

    def draw(self, context: bpy.types.Context) -> None:
        now = session.current()
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "device")
        layout.prop(self, "output_folder", placeholder=str(places.output_root()))
        layout.prop(self, "runtime_folder", placeholder=str(runtime.home()))
        box = layout.box()
        box.label(text=now.label, icon=now.status_icon)
        if now.installing or now.job:
            row = box.row(align=True)
            row.progress(factor=now.progress.factor, text=now.progress_text)
            row.operator("skyloop.cancel", text="", icon="X")
        row = box.row()
        row.operator("skyloop.install", text="Install" if now.not_installed else "Install Anew", icon="IMPORT")
        row.operator("skyloop.release", icon="MEMORY")
        if now.problem and now.not_installed:
            box.label(text=now.problem.message, icon="ERROR")
            box.label(text=now.problem.hint)
