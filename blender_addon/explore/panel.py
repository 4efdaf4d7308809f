"""The grid of candidates, filling in as they are made, and what can be done with a chosen one."""

import bpy

from .. import places, session
from ..core import candidates
from ..core.checks import about
from ..core.jobs import shorten
from ..create.request import estimate_of, request_of
from ..ui import SkyloopPanel, paragraph, tr
from .operators import (
    CLASSES as OPERATORS,
)
from .operators import (
    SKYLOOP_OT_choose_candidate,
    SKYLOOP_OT_discard_candidates,
    SKYLOOP_OT_keep_candidate,
    SKYLOOP_OT_make_candidate,
    SKYLOOP_OT_more_candidates,
    SKYLOOP_OT_show_candidate,
    SKYLOOP_OT_try_candidates,
    SKYLOOP_OT_vary,
    cells,
    chosen,
)

PICTURE_SCALE = 5.0


def draw_try(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """For the main panel: candidates of the prompt, and variations of the sky that is there."""
    column, scene = layout.column(align=True), context.scene
    request = candidates.candidate_of(request_of(scene, device=places.device()), 0)
    seconds = candidates.COUNT * estimate_of(request).seconds
    text = tr("Try Four ({time})").format(time=tr(about(seconds)))
    column.operator(SKYLOOP_OT_try_candidates.bl_idname, text=text, icon="LIGHTPROBE_VOLUME", translate=False)
    if scene.world and scene.world.skyloop.job:
        column.operator(SKYLOOP_OT_vary.bl_idname, icon="MOD_NOISE")


class SKYLOOP_PT_explore(SkyloopPanel, bpy.types.Panel):
    bl_label = "Candidates"
    bl_parent_id = "SKYLOOP_PT_main"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(cells(context.scene))

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        found, picked = cells(scene), chosen(scene)
        title = next((c.listed.title for c in found if c.listed), "")
        if title and title != shorten(request_of(scene, device="auto").prompt):
            paragraph(layout, context, title)
        grid = layout.grid_flow(row_major=True, columns=2, even_columns=True, even_rows=True)
        for cell in found:
            self.draw_cell(grid.column(align=True), cell, cell == picked)
        if picked and picked.listed:
            self.draw_chosen(layout, context, picked.listed)
        elif any(cell.listed for cell in found):
            paragraph(layout, context, "Choose one to make it in full.")
        row = layout.row(align=True)
        row.operator(SKYLOOP_OT_more_candidates.bl_idname, icon="ADD")
        row.operator(SKYLOOP_OT_discard_candidates.bl_idname, icon="TRASH")

    def draw_cell(self, layout: bpy.types.UILayout, cell: candidates.Cell, picked: bool) -> None:
        now = session.current()
        if cell.listed:
            self.draw_picture(layout, now.picture(cell.folder / "poster.png"))
            icon = "RADIOBUT_ON" if picked else "RADIOBUT_OFF"
            text = "Chosen" if picked else "Choose"
            button = layout.operator(SKYLOOP_OT_choose_candidate.bl_idname, text=text, icon=icon, depress=picked)
            button.job = str(cell.folder)
        elif cell.running:
            self.draw_picture(layout, now.picture(now.preview, now.preview_edition))
            layout.progress(factor=now.progress.factor, text="Making")
        else:
            self.draw_picture(layout, 0)
            layout.label(text="Waiting", icon="TIME")

    def draw_picture(self, layout: bpy.types.UILayout, icon: int) -> None:
        """A picture, or the room for it, so that nothing jumps when it comes."""
        if icon:
            layout.template_icon(icon_value=icon, scale=PICTURE_SCALE)
        else:
            box = layout.box()
            box.scale_y = PICTURE_SCALE - 1.0
            box.label(text="")

    def draw_chosen(self, layout: bpy.types.UILayout, context: bpy.types.Context, listed: candidates.Listed) -> None:
        wanted = request_of(context.scene, device=places.device())
        column = layout.column(align=True)
        row = column.row(align=True)
        row.scale_y = 1.3
        if candidates.is_whole(listed, wanted):
            row.operator(SKYLOOP_OT_keep_candidate.bl_idname, icon="CHECKMARK")
        else:
            text = tr("Make This One ({time})").format(
                time=tr(about(estimate_of(candidates.refined_of(listed, wanted)).seconds))
            )
            name = SKYLOOP_OT_make_candidate.bl_idname
            row.operator(name, text=text, icon="RENDER_ANIMATION", translate=False)
        column.operator(SKYLOOP_OT_show_candidate.bl_idname, icon="WORLD")


# With the operators: they need the request, which needs this feature's properties, so they cannot come with those.
CLASSES = (*OPERATORS, SKYLOOP_PT_explore)
