"""The skies that were made earlier, and those that never were finished."""

import bpy

from .. import session
from ..core.jobs import Listed
from ..running.operators import SKYLOOP_OT_resume_job
from ..sky.operators import SKYLOOP_OT_apply_world
from ..ui import SkyloopPanel, paragraph
from .operators import (
    SKYLOOP_OT_delete_job,
    SKYLOOP_OT_open_folder,
    SKYLOOP_OT_recall,
    SKYLOOP_OT_refresh_history,
)

MAX_ROWS = 8


class SKYLOOP_UL_history(bpy.types.UIList):
    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index) -> None:
        now = session.current()
        if index < len(now.history):
            layout.label(text=item.name, icon_value=now.picture(now.history[index].folder / "poster.png"))


class SKYLOOP_PT_history(SkyloopPanel, bpy.types.Panel):
    bl_label = "History"
    bl_parent_id = "SKYLOOP_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, shown = self.layout, context.window_manager.skyloop
        row = layout.row()
        row.template_list("SKYLOOP_UL_history", "", shown, "history", shown, "history_index", rows=4)
        row.operator(SKYLOOP_OT_refresh_history.bl_idname, text="", icon="FILE_REFRESH")
        now = session.current()
        if job := now.chosen():
            self.draw_job(context, now, job)
        else:
            paragraph(layout, context, "Finished skies appear here.")
        if now.unfinished:
            self.draw_unfinished(now.unfinished)

    def draw_job(self, context: bpy.types.Context, now: session.BlenderSession, job: Listed) -> None:
        layout, card, folder = self.layout, job.card, str(job.folder)
        if icon := now.picture(job.folder / "poster.png"):
            layout.template_icon(icon_value=icon, scale=8.0)
        paragraph(layout, context, card.prompt)
        paragraph(layout, context, f"{card.width} x {card.height}, {card.frames} frames, seed {card.seed}")
        row = layout.row(align=True)
        row.operator(SKYLOOP_OT_apply_world.bl_idname, icon="WORLD").job = folder
        row.operator(SKYLOOP_OT_recall.bl_idname, text="", icon="COPYDOWN").job = folder
        row.operator(SKYLOOP_OT_open_folder.bl_idname, text="", icon="FILE_FOLDER").path = folder
        row.operator(SKYLOOP_OT_delete_job.bl_idname, text="", icon="TRASH").job = folder

    def draw_unfinished(self, found: list[Listed]) -> None:
        box = self.layout.box()
        box.label(text="Unfinished", icon="RECOVER_LAST")
        for job in found[:MAX_ROWS]:
            row = box.row(align=True)
            row.label(text=job.title)
            text = "Resume" if job.resumable else "Start Again"
            row.operator(SKYLOOP_OT_resume_job.bl_idname, text=text, icon="PLAY").job = str(job.folder)
            row.operator(SKYLOOP_OT_delete_job.bl_idname, text="", icon="TRASH").job = str(job.folder)
        if len(found) > MAX_ROWS:
            box.label(text=f"and {len(found) - MAX_ROWS} more")


CLASSES = (SKYLOOP_UL_history, SKYLOOP_PT_history)
