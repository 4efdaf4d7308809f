"""What is being made, what waits, what came of it, and what went wrong."""

from pathlib import Path

import bpy

from .. import session
from ..core.jobs import Purpose
from ..core.state import Progress
from ..history.operators import SKYLOOP_OT_open_folder
from ..sky.operators import SKYLOOP_OT_apply_world
from ..ui import paragraph, tr
from .operators import (
    SKYLOOP_OT_cancel,
    SKYLOOP_OT_copy_report,
    SKYLOOP_OT_dismiss,
    SKYLOOP_OT_open_log,
    SKYLOOP_OT_pause,
    SKYLOOP_OT_queue_move,
    SKYLOOP_OT_queue_remove,
    SKYLOOP_OT_release,
    SKYLOOP_OT_resume_job,
    SKYLOOP_OT_resume_queue,
)

MAX_ROWS = 8


def draw_running(layout: bpy.types.UILayout, now: session.BlenderSession) -> None:
    row = layout.row(align=True)
    if task := now.queue.running:
        text = now.label if now.queue.paused else (now.left_text or now.label)
        row.progress(factor=now.course.share(), text=text)
    else:
        row.label(text=now.label)
    if now.queue.paused:
        row.operator(SKYLOOP_OT_resume_queue.bl_idname, text="", icon="PLAY")
        row.operator(SKYLOOP_OT_release.bl_idname, text="", icon="MEMORY")
    else:
        row.operator(SKYLOOP_OT_pause.bl_idname, text="", icon="PAUSE")
    row.operator(SKYLOOP_OT_cancel.bl_idname, text="", icon="X")
    if task and Purpose.of(task.folder) is Purpose.CANDIDATE:
        layout.label(text=tr("Candidate: {title}").format(title=task.title), translate=False)
        return  # the grid of candidates shows the rest
    if task:
        layout.label(text=task.title, translate=False)
        draw_phases(layout, now)
    if icon := now.picture(now.preview, now.preview_edition):
        layout.template_icon(icon_value=icon, scale=9.0)
        shown = bpy.context.window_manager.skyloop
        layout.prop(shown, "show_preview", icon="HIDE_OFF" if shown.show_preview else "HIDE_ON", toggle=True)


def draw_phases(layout: bpy.types.UILayout, now: session.BlenderSession) -> None:
    """What is behind the job, what it is at, and what comes."""
    column = layout.column(align=True)
    column.scale_y = 0.8
    phases, present = now.course.phases, now.progress
    if now.course.now is None or present.name not in [phase.name for phase in phases]:
        column.label(text=present.text, icon="SORTTIME", translate=False)
    for phase in phases:
        line = column.row()
        if phase.name == present.name:
            line.label(text=present.text, icon="PLAY", translate=False)
        else:
            line.active = phase.ended
            name = Progress(phase.name).label
            line.label(text=tr(name), icon="CHECKMARK" if phase.ended else "BLANK1", translate=False)


def draw_waiting(layout: bpy.types.UILayout, now: session.BlenderSession) -> None:
    waiting = [task for task in now.queue.waiting if Purpose.of(task.folder) is Purpose.SKY]  # others are in the grid
    if not waiting:
        return
    column = layout.column(align=True)
    column.label(text=tr(f"{len(waiting)} waiting:"), icon="TIME")
    for task in waiting[:MAX_ROWS]:
        row = column.row(align=True)
        row.label(text=task.title)
        for direction, icon in (("UP", "TRIA_UP"), ("DOWN", "TRIA_DOWN")):
            button = row.operator(SKYLOOP_OT_queue_move.bl_idname, text="", icon=icon)
            button.job, button.direction = str(task.folder), direction
        row.operator(SKYLOOP_OT_queue_remove.bl_idname, text="", icon="X").job = str(task.folder)
    if len(waiting) > MAX_ROWS:
        column.label(text=tr(f"and {len(waiting) - MAX_ROWS} more"))


def draw_result(layout: bpy.types.UILayout, context: bpy.types.Context, now: session.BlenderSession, job: Path) -> None:
    box = layout.box()
    if icon := now.picture(job / "poster.png"):
        box.template_icon(icon_value=icon, scale=9.0)
    applied = context.scene.world and context.scene.world.skyloop.job == str(job)
    row = box.row(align=True)
    if applied:
        row.label(text="Done: this is the World now", icon="CHECKMARK")
    else:
        if now.waits_for:
            text = tr("It is applied {when}.").format(when=now.waits_for)
            paragraph(box, context, text, icon="TIME")
        row.operator(SKYLOOP_OT_apply_world.bl_idname, icon="WORLD").job = str(job)
    row.operator(SKYLOOP_OT_open_folder.bl_idname, text="", icon="FILE_FOLDER").path = str(job)


def draw_problem(layout: bpy.types.UILayout, context: bpy.types.Context, now: session.BlenderSession) -> None:
    problem = now.problem
    assert problem
    box = layout.box()
    row = box.row()
    column = row.column()
    column.alert = True
    paragraph(column, context, problem.message, icon="ERROR", beside=2.0)
    row.operator(SKYLOOP_OT_dismiss.bl_idname, text="", icon="X", emboss=False)
    for text in filter(None, (problem.hint, problem.onward)):
        paragraph(box, context, text)
    if problem.job:
        box.operator(SKYLOOP_OT_resume_job.bl_idname, icon="PLAY").job = str(problem.job)
    if problem.repairable and now.setup.runtime:
        box.operator("skyloop.repair", icon="TOOL_SETTINGS")
    row = box.row(align=True)  # three in one row would be cut
    if problem.log:
        row.operator(SKYLOOP_OT_open_log.bl_idname, icon="TEXT")
    row.operator(SKYLOOP_OT_copy_report.bl_idname, icon="COPYDOWN")
