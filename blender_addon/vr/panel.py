"""The headset: one button, where to stand, and what would spoil it."""

import bpy

from .. import session
from ..core.state import NOT_SET_UP
from ..sky import world
from ..ui import SkyloopPanel, is_narrow, paragraph, tr
from . import preview
from .operators import SKYLOOP_OT_vr_dismiss, SKYLOOP_OT_vr_preview, SKYLOOP_OT_vr_stop

FLUENT_WIDTH_PX = 4096  # Blender decodes the movie on the processor, frame by frame


class SKYLOOP_PT_vr(SkyloopPanel, bpy.types.Panel):
    bl_label = "VR"
    bl_parent_id = "SKYLOOP_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A sky that came with a file needs no generator."""
        ready = session.current().state not in NOT_SET_UP
        return ready or preview.is_ours() or world.is_sky(context.scene.world)

    def draw(self, context: bpy.types.Context) -> None:
        layout, chosen = self.layout, context.scene.skyloop.vr
        if preview.problem:
            _draw_problem(layout, context)
        column = layout.column()
        column.scale_y = 1.5
        if preview.is_ours():
            column.operator(SKYLOOP_OT_vr_stop.bl_idname, icon="PAUSE")
        else:
            column.operator(SKYLOOP_OT_vr_preview.bl_idname, icon="HIDE_OFF")
            if reason := preview.why_not():
                paragraph(layout, context, f"{tr(reason)}.", icon="INFO")
        column = layout.column()
        column.use_property_split, column.use_property_decorate = not is_narrow(context), False
        row = column.row()
        row.use_property_split = True  # a choice has no room for its name
        row.prop(chosen, "base")
        if chosen.base == "CENTRE":
            column.prop(chosen, "eye_height_m")
        column.prop(chosen, "heading_deg")
        for warning in _warnings(context.scene):
            paragraph(layout, context, warning, icon="INFO")


def _draw_problem(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    problem = preview.problem
    assert problem
    box = layout.box()
    row = box.row()
    column = row.column()
    column.alert = True
    paragraph(column, context, problem.message, icon="ERROR", beside=2.0)
    row.operator(SKYLOOP_OT_vr_dismiss.bl_idname, text="", icon="X", emboss=False)
    if problem.hint:
        paragraph(box, context, problem.hint)


def _warnings(scene: bpy.types.Scene) -> list[str]:
    """What would make the preview less than it could be."""
    found = []
    image = world.sky_image(scene.world) if world.is_sky(scene.world) else None
    if image is None:
        found.append(tr("The World of this scene is no sky of Skyloop's: the headset shows what there is."))
    elif image.size[0] > FLUENT_WIDTH_PX:
        text = tr("This sky is {width} pixels wide and may stutter; up to {fluent} play smoothly.")
        found.append(text.format(width=image.size[0], fluent=FLUENT_WIDTH_PX))
    if session.current().job:
        found.append(tr("A sky is being made and takes power from the headset: pause it for a smooth view."))
    return found


CLASSES = (SKYLOOP_PT_vr,)
