"""What sky it shall be: the prompt, its size, the button; and the settings behind them."""

import bpy

from .. import session
from ..core.state import State
from ..ui import SkyloopPanel, paragraph
from .operators import SKYLOOP_OT_generate
from .request import request_of


def draw_request(layout: bpy.types.UILayout, context: bpy.types.Context, now: session.BlenderSession) -> None:
    settings = context.scene.skyloop
    column = layout.column()
    column.prop(settings, "prompt", text="", placeholder="A sky in a few words", icon="OUTLINER_OB_FONT")
    column.row(align=True).prop(settings, "quality", expand=True)
    if settings.quality == "CUSTOM":
        column.prop(settings, "custom_width")
    column = layout.column()
    column.scale_y = 1.5
    if now.queue.tasks:
        column.operator(SKYLOOP_OT_generate.bl_idname, text="Add to Queue", icon="ADD")
    else:
        column.operator(SKYLOOP_OT_generate.bl_idname, icon="RENDER_ANIMATION")
    problems = request_of(context.scene, device="auto").problems() if settings.prompt else []
    for problem in problems[:1]:
        paragraph(layout, context, problem, icon="INFO")


class SKYLOOP_PT_settings(SkyloopPanel, bpy.types.Panel):
    bl_label = "Settings"
    bl_parent_id = "SKYLOOP_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return session.current().state not in (State.NOT_INSTALLED, State.INSTALLING)

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.skyloop
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "negative")
        column = layout.column(align=True)
        row = column.row()
        row.enabled = not settings.random_seed
        row.prop(settings, "seed")
        column.prop(settings, "random_seed")
        column = layout.column(align=True)
        column.prop(settings, "frames")
        column.prop(settings, "fps")
        column.prop(settings, "loop")
        layout.prop(settings, "fov_deg")
        column = layout.column(align=True)
        column.prop(settings, "steps")
        column.prop(settings, "guidance")
        layout.prop(settings, "auto_apply")


CLASSES = (SKYLOOP_PT_settings,)
