"""Blender's status bar tells of our work, for those in another workspace or without the sidebar."""

import bpy

from .. import session
from ..sky.operators import SKYLOOP_OT_apply_world
from ..ui import tr
from .operators import SKYLOOP_OT_cancel, SKYLOOP_OT_dismiss, SKYLOOP_OT_hide_notice
from .panel import draw_phases, draw_problem

BAR_UNITS = 9.0


class SKYLOOP_PT_progress(bpy.types.Panel):
    """How far the sky is"""

    bl_label = "Skyloop"
    bl_space_type = "STATUSBAR"
    bl_region_type = "HEADER"
    bl_ui_units_x = 14

    def draw(self, context: bpy.types.Context) -> None:
        layout, now = self.layout, session.current()
        if now.problem:
            draw_problem(layout, context, now)
        if not now.busy:
            return
        if task := now.queue.running:
            layout.label(text=task.title, translate=False)
        draw_phases(layout, now)
        if icon := now.picture(now.preview, now.preview_edition):
            layout.template_icon(icon_value=icon, scale=9.0)
        layout.operator(SKYLOOP_OT_cancel.bl_idname, icon="X")


def draw(header: bpy.types.Header, context: bpy.types.Context) -> None:
    """One entry at a time: what is under way, what went wrong, what is ready."""
    now, row = session.current(), header.layout.row(align=True)
    if now.busy:
        _draw_busy(row, now)
    elif now.problem:
        row.alert = True
        row.popover(
            SKYLOOP_PT_progress.__name__, text=tr(f"Skyloop: {now.problem.message}"), icon="ERROR", translate=False
        )
        row.operator(SKYLOOP_OT_dismiss.bl_idname, text="", icon="X", emboss=False)
    elif now.just_done and now.notice_until_s:
        _draw_done(row, context, now)


def _draw_busy(row: bpy.types.UILayout, now: session.BlenderSession) -> None:
    bar = row.row()
    bar.ui_units_x = BAR_UNITS
    share = now.progress.factor if now.installing else now.course.share()
    text = now.label if now.queue.paused else (now.left_text or tr(now.progress.label))
    bar.progress(factor=share, text=tr(f"Skyloop: {text}"))
    row.popover(SKYLOOP_PT_progress.__name__, text="")
    row.operator(SKYLOOP_OT_cancel.bl_idname, text="", icon="X", emboss=False)


def _draw_done(row: bpy.types.UILayout, context: bpy.types.Context, now: session.BlenderSession) -> None:
    job = str(now.just_done)
    if now.waits_for:
        text = tr("Skyloop: the sky is ready and is applied {when}").format(when=now.waits_for)
    elif context.scene.world and context.scene.world.skyloop.job == job:
        text = tr("Skyloop: the sky is the World now")
    else:
        text = tr("Skyloop: the sky is ready")
    row.label(text=text, icon="CHECKMARK", translate=False)
    if not (context.scene.world and context.scene.world.skyloop.job == job):
        row.operator(SKYLOOP_OT_apply_world.bl_idname, text="Apply Now", icon="WORLD").job = job
    row.operator(SKYLOOP_OT_hide_notice.bl_idname, text="", icon="X", emboss=False)


def register() -> None:
    bpy.types.STATUSBAR_HT_header.append(draw)


def unregister() -> None:
    bpy.types.STATUSBAR_HT_header.remove(draw)


CLASSES = (SKYLOOP_PT_progress,)
