"""The skies that were made earlier, and those that never were finished."""

import bpy

from .. import session
from ..core.archive import Order, matching
from ..core.jobs import Listed
from ..core.state import NOT_SET_UP
from ..core.stock import BUILT_IN, made_with
from ..core.words import date_text, size_text, time_text
from ..explore.operators import SKYLOOP_OT_vary
from ..export.operators import SKYLOOP_OT_export_sky
from ..models import shelf
from ..running.operators import SKYLOOP_OT_resume_job
from ..sky.operators import SKYLOOP_OT_apply_world
from ..ui import SkyloopPanel, is_narrow, paragraph, tr
from .operators import (
    MAX_ROWS,
    SKYLOOP_OT_delete_job,
    SKYLOOP_OT_free_space,
    SKYLOOP_OT_open_folder,
    SKYLOOP_OT_pin,
    SKYLOOP_OT_recall,
    SKYLOOP_OT_refresh_history,
    SKYLOOP_OT_reroll,
)


class SKYLOOP_UL_history(bpy.types.UIList):
    """Skies with their pictures; which are shown, and in which order, is set above the list."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index) -> None:
        now = session.current()
        if index < len(now.history):
            job = now.history[index]
            row = layout.row(align=True)
            row.label(text=item.name, icon_value=now.picture(job.poster), translate=False)
            if job.pinned:
                row.label(text="", icon="SOLO_ON")

    def draw_filter(self, context: bpy.types.Context, layout: bpy.types.UILayout) -> None:
        draw_search(layout, context)

    def filter_items(self, context: bpy.types.Context, data: object, property: str) -> tuple[list[int], list[int]]:
        """Which items to show, as flags, and the place of each."""
        shown, listed = context.window_manager.skyloop, session.current().history
        order = Order(shown.history_order.lower())
        found = matching(listed, shown.history_words, order, pinned_only=shown.history_pinned)
        flags, new_places = [0] * len(shown.history), [0] * len(shown.history)
        hidden = [place for place in range(len(flags)) if place not in set(found)]
        for new, place in enumerate([*found, *hidden]):
            if place < len(flags):
                new_places[place] = new
        for place in found:
            if place < len(flags):
                flags[place] = self.bitflag_filter_item
        return flags, new_places


def draw_search(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    row, shown = layout.row(align=True), context.window_manager.skyloop
    row.prop(shown, "history_words", text="", icon="VIEWZOOM")
    row.prop(shown, "history_order", text="", icon="SORTSIZE", icon_only=True)
    row.prop(shown, "history_pinned", text="", icon="SOLO_ON" if shown.history_pinned else "SOLO_OFF")


class SKYLOOP_PT_history(SkyloopPanel, bpy.types.Panel):
    bl_label = "History"
    bl_parent_id = "SKYLOOP_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """What another set-up made can be used without one."""
        now = session.current()
        return now.state not in NOT_SET_UP or bool(now.history or now.unfinished)

    def draw(self, context: bpy.types.Context) -> None:
        layout, shown, now = self.layout, context.window_manager.skyloop, session.current()
        if now.history:
            draw_search(layout, context)
        row = layout.row()
        row.template_list("SKYLOOP_UL_history", "", shown, "history", shown, "history_index", rows=4)
        row.operator(SKYLOOP_OT_refresh_history.bl_idname, text="", icon="FILE_REFRESH")
        if job := now.chosen():
            self.draw_job(context, now, job)
        else:
            paragraph(layout, context, "Finished skies appear here.")
        if now.unfinished:
            self.draw_unfinished(now.unfinished)
        if used := now.archive.used_bytes:
            column = layout.column(align=True)  # side by side both would be cut
            text = tr("{size} on the disk").format(size=size_text(used))
            column.label(text=text, icon="DISK_DRIVE", translate=False)
            column.operator(SKYLOOP_OT_free_space.bl_idname, text="Free Space...")

    def draw_job(self, context: bpy.types.Context, now: session.BlenderSession, job: Listed) -> None:
        layout, card, folder = self.layout, job.card, str(job.folder)
        if icon := now.picture(job.poster):
            layout.template_icon(icon_value=icon, scale=8.0)
        else:
            layout.label(text="Its picture is missing", icon="IMAGE_DATA")
        column = layout.column(align=True)
        paragraph(column, context, card.prompt)
        facts = tr("{width} x {height}, {frames} frames, seed {seed}")
        facts = facts.format(width=card.width, height=card.height, frames=card.frames, seed=card.seed)
        paragraph(column, context, facts)
        if card.model not in ("", BUILT_IN):
            paragraph(column, context, tr(made_with(card.model, shelf.stock())))
        paragraph(column, context, _record(job))
        row = layout.row(align=True)
        row.operator(SKYLOOP_OT_apply_world.bl_idname, icon="WORLD").job = folder
        button = row.operator(SKYLOOP_OT_pin.bl_idname, text="", icon="SOLO_ON" if job.pinned else "SOLO_OFF")
        button.job, button.pinned = folder, not job.pinned
        row.operator(SKYLOOP_OT_open_folder.bl_idname, text="", icon="FILE_FOLDER").path = folder
        row.operator(SKYLOOP_OT_delete_job.bl_idname, text="", icon="TRASH").job = folder
        row = (layout.column if is_narrow(context) else layout.row)(align=True)
        row.operator(SKYLOOP_OT_recall.bl_idname, text="Reuse", icon="COPYDOWN").job = folder
        row.operator(SKYLOOP_OT_reroll.bl_idname, icon="FILE_REFRESH").job = folder
        row.operator(SKYLOOP_OT_vary.bl_idname, text="Vary", icon="MOD_NOISE").job = folder
        layout.operator(SKYLOOP_OT_export_sky.bl_idname, text="Export...", icon="EXPORT").job = folder

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
            box.label(text=tr(f"and {len(found) - MAX_ROWS} more"))


def _record(job: Listed) -> str:
    """When it was made, how long that took, and its size on the disk."""
    parts = [date_text(job.created_s)]
    if job.took_s:
        parts.append(tr("took {time}").format(time=time_text(job.took_s)))
    return ", ".join([*parts, size_text(job.bytes)])


CLASSES = (SKYLOOP_UL_history, SKYLOOP_PT_history)
