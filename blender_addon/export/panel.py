"""Taking a sky elsewhere: into an engine, onto a page, into a player or another renderer."""

import bpy

from .. import session
from ..core.exporting import amount_left
from ..core.state import NOT_SET_UP
from ..ui import SkyloopPanel, paragraph, tr
from . import work
from .choices import draw_choices
from .operators import (
    SKYLOOP_OT_cancel_export,
    SKYLOOP_OT_dismiss_export,
    SKYLOOP_OT_export_log,
    SKYLOOP_OT_export_sky,
    SKYLOOP_OT_open_export,
)


class SKYLOOP_PT_export(SkyloopPanel, bpy.types.Panel):
    bl_label = "Export"
    bl_parent_id = "SKYLOOP_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return session.current().state not in NOT_SET_UP

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        can = draw_choices(layout, context)
        row = layout.row()
        row.enabled = can
        row.scale_y = 1.3
        row.operator(SKYLOOP_OT_export_sky.bl_idname, icon="EXPORT")
        draw_work(layout, context)
        draw_made(layout, context)


def draw_work(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """How far the export is, or why it failed."""
    if now := work.current():
        column = layout.column(align=True)
        paragraph(column, context, f"{tr(now.title)}: {tr(now.what)}", icon="EXPORT")
        row = column.row(align=True)
        text = ": ".join(filter(None, (tr(now.progress.label), tr(now.progress.amount))))
        row.progress(factor=now.progress.factor, text=text)
        row.operator(SKYLOOP_OT_cancel_export.bl_idname, text="", icon="X")
        left = [amount_left(now.progress), *now.progress.pace.split(", ")]
        if any(left):
            column.label(text=", ".join(tr(part) for part in left if part), translate=False)
    elif error := work.problem():
        box = layout.box()
        row = box.row()
        column = row.column()
        column.alert = True
        paragraph(column, context, error.message, icon="ERROR", beside=2.0)
        row.operator(SKYLOOP_OT_dismiss_export.bl_idname, text="", icon="X", emboss=False)
        if error.hint:
            paragraph(box, context, error.hint)
        ended = work.last()
        if ended and ended.tool.log:
            box.operator(SKYLOOP_OT_export_log.bl_idname, icon="TEXT")


def draw_made(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Where the last export is, and what there is to know about it."""
    if (folder := work.made()) is None:
        return
    ended = work.last()
    assert ended
    box = layout.box()
    row = box.row()
    paragraph(row.column(), context, tr("Exported to {folder}").format(folder=folder), icon="CHECKMARK", beside=2.0)
    row.operator(SKYLOOP_OT_dismiss_export.bl_idname, text="", icon="X", emboss=False)
    for note in ended.tool.document.get("notes", ()):
        paragraph(box, context, str(note), icon="INFO")
    row = box.row(align=True)
    row.operator(SKYLOOP_OT_open_export.bl_idname, text="Open Folder", icon="FILE_FOLDER").what = "FOLDER"
    row.operator(SKYLOOP_OT_open_export.bl_idname, text="Open", icon="PLAY").what = "FILE"


CLASSES = (SKYLOOP_PT_export,)
