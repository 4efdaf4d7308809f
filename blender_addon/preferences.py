"""What belongs to the machine, not to a scene: folders, the device, and the runtime's installation."""

import bpy
from bpy.props import EnumProperty, StringProperty

from . import places, session
from .core.setup import Stage
from .models.panel import draw_models
from .running.panel import draw_problem
from .setup.panel import draw_folder, draw_generator

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

    hub_token: StringProperty(
        name="Access Token",
        description="For models that are given to accounts only: a token from the settings of your account on the hub. "
        "It is kept in Blender's preferences, in no .blend file, and is sent to the hub alone",
        subtype="PASSWORD",
        maxlen=200,
    )
    hub_mirror: StringProperty(
        name="Mirror",
        description="Address to download models from instead of huggingface.co, such as one of your company's",
        maxlen=300,
    )

    known_home: StringProperty(
        name="Last Known",
        description="Where the generator was last seen whole: when that folder is not there, its disk is missing",
        options={"HIDDEN"},
    )

    def draw(self, context: bpy.types.Context) -> None:
        now, layout = session.current(), self.layout
        column = layout.column()
        column.use_property_split = True
        column.prop(self, "device")
        column.prop(self, "output_folder", placeholder=str(places.output_root()))
        if now.setup.stage is Stage.READY and now.setup.facts:
            draw_folder(column, now.setup.facts, text="Generator")
        if now.problem:
            draw_problem(layout, context, now)
        box = layout.box()
        row = box.row()
        row.label(text=now.label, icon=now.status_icon)
        row.operator("skyloop.release", icon="MEMORY")
        draw_generator(box, context, now)
        if now.setup.stage is Stage.READY:
            draw_models(layout.box(), context)
