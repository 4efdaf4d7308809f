"""The first thing a new user sees: what will be downloaded and where to, one button, and how far it is.

The preferences draw the same. Drawing reads what the last survey found; it looks at nothing itself.
"""

from pathlib import Path

import bpy

from ...backend.runtime import home
from ...backend.runtime.survey import Survey, need_mb
from .. import places, session
from ..core.setup import BUSY_STAGES, Stage
from ..core.wrapping import width, wrapped
from ..running.operators import SKYLOOP_OT_cancel
from ..ui import paragraph, tr, width_of
from .operators import (
    SKYLOOP_OT_allow_online,
    SKYLOOP_OT_bring_generator,
    SKYLOOP_OT_install,
    SKYLOOP_OT_look_again,
    SKYLOOP_OT_move_generator,
    SKYLOOP_OT_remove_generator,
    SKYLOOP_OT_repair,
    SKYLOOP_OT_start_over,
    SKYLOOP_OT_use_there,
    size_text,
)

NAME_SHARE = 0.38  # of the width
STEPS = ("venv", "plan", "download", "install", "self-test")
SAID = {
    Stage.NONE: "Skyloop makes skies on this computer. It needs its generator for that: one download, and from then on "
    "it works without internet.",
    Stage.HALF: "The set-up was interrupted. It goes on where it stopped; nothing is downloaded twice.",
    Stage.OUTDATED: "This Skyloop needs a newer generator. The old one stays until the new one works.",
    Stage.BROKEN: "Files of the generator are missing or damaged. Repair brings back just those.",
}
BUTTONS = {Stage.HALF: "Continue Set-up", Stage.OUTDATED: "Update Generator"}
MEANWHILE = {
    Stage.INSTALLING: "You can go on working. If it is interrupted, it goes on from there next time.",
    Stage.REPAIRING: "You can go on working. What is good stays as it is.",
    Stage.MOVING: "It stays in use where it is until the copy has passed its test.",
    Stage.REMOVING: "Your skies stay.",
}


def draw_setup(layout: bpy.types.UILayout, context: bpy.types.Context, now: session.BlenderSession) -> None:
    """Whatever the present stage asks for; nothing when the generator is ready."""
    stage, facts = now.setup.stage, now.setup.facts
    if stage in BUSY_STAGES:
        _draw_busy(layout, context, now, stage)
    elif stage is Stage.LOOKING or (facts is None and stage is not Stage.READY):
        layout.label(text="Looking for the generator", icon="VIEWZOOM")
        if now.setup.slow:
            paragraph(layout, context, "The disk of its folder has not answered yet.")
    elif facts and stage is Stage.GONE:
        _draw_gone(layout, context, facts)
    elif facts and stage is not Stage.READY:
        _draw_offer(layout, context, now, stage, facts)


def _draw_busy(
    layout: bpy.types.UILayout, context: bpy.types.Context, now: session.BlenderSession, stage: Stage
) -> None:
    progress = now.progress
    layout.label(text=now.label, icon="IMPORT")
    column = layout.column(align=True)
    step = tr(progress.label)
    if stage is Stage.INSTALLING and progress.name in STEPS:
        place = {"step": step, "number": STEPS.index(progress.name) + 1, "count": len(STEPS)}
        step = tr("{number} of {count}: {step}").format(**place)
    column.label(text=step, translate=False)
    column.progress(factor=progress.factor, text=tr(progress.amount))
    if pace := progress.pace:
        column.label(text=", ".join(tr(part) for part in pace.split(", ")), translate=False)
    if stage is not Stage.REMOVING:
        layout.operator(SKYLOOP_OT_cancel.bl_idname, icon="X")
    waits = progress.name == "wait"
    paragraph(
        layout,
        context,
        "Another Blender is setting up the generator. This one uses it as soon as it is ready."
        if waits
        else MEANWHILE[stage],
    )


def _draw_gone(layout: bpy.types.UILayout, context: bpy.types.Context, facts: Survey) -> None:
    text = tr("The generator was in {folder}, which is not there now. Connect its disk: it is found by itself then.")
    paragraph(layout, context, text.format(folder=facts.home), icon="UNLINKED")
    layout.operator(SKYLOOP_OT_look_again.bl_idname, icon="FILE_REFRESH")
    layout.operator(SKYLOOP_OT_start_over.bl_idname, icon="IMPORT")


def _draw_offer(
    layout: bpy.types.UILayout, context: bpy.types.Context, now: session.BlenderSession, stage: Stage, facts: Survey
) -> None:
    if not now.problem:
        paragraph(layout, context, SAID[stage])
    if facts.elsewhere:
        paragraph(layout, context, "Another Blender is setting it up just now; it will be ready here too.", icon="TIME")
    if facts.other:
        _draw_other(layout, context, facts.other)
    mends = stage is Stage.BROKEN
    if not mends:
        _draw_costs(layout, context, facts)
    if not bpy.app.online_access:
        draw_online(layout, context)
    column = layout.column()
    column.scale_y = 1.5
    if mends:
        column.operator(SKYLOOP_OT_repair.bl_idname, icon="TOOL_SETTINGS")
        return
    text = "Try Again" if now.problem else BUTTONS.get(stage, "")
    column.operator(SKYLOOP_OT_install.bl_idname, **({"text": text} if text else {}), icon="IMPORT")


def _draw_other(layout: bpy.types.UILayout, context: bpy.types.Context, other: Path) -> None:
    """Another folder was chosen while the generator is in its old one."""
    box = layout.box()
    paragraph(box, context, tr("The generator is still in {folder}.").format(folder=other), icon="INFO")
    row = box.row(align=True)
    row.operator(SKYLOOP_OT_bring_generator.bl_idname, icon="FILE_FOLDER")
    row.operator(SKYLOOP_OT_use_there.bl_idname, icon="LOOP_BACK")


def _draw_costs(layout: bpy.types.UILayout, context: bpy.types.Context, facts: Survey) -> None:
    column = layout.column(align=True)
    left = max(0, facts.download_mb - facts.have_mb)
    if facts.have_mb:
        amount = tr("{left}, {have} is here").format(left=size_text(left), have=size_text(facts.have_mb))
        draw_fact(column, context, "Still to Load", amount)
    else:
        draw_fact(column, context, "Download", size_text(left))
    draw_fact(column, context, "Takes", size_text(facts.disk_mb))
    draw_fact(column, context, "Free There", tr("not known") if facts.free_mb < 0 else size_text(facts.free_mb))
    draw_fact(column, context, "Computes On", facts.accelerator)
    draw_folder(layout.column(), facts)
    if not facts.writable:
        _warn(layout, context, "You may not write to this folder. Choose another one.")
    elif 0 <= facts.free_mb < (need := need_mb(facts)):
        text = tr("There is not enough room: {need} are needed while setting up. Free some, or choose another folder.")
        _warn(layout, context, text.format(need=size_text(need)))


def draw_folder(layout: bpy.types.UILayout, facts: Survey, text: str = "") -> None:
    """The folder of the generator, to choose another."""
    if preferences := places.preferences():
        layout.prop(preferences, "runtime_folder", text=text, placeholder=str(facts.home))


def draw_online(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Why online access is asked for, and where the user allows it."""
    box = layout.box()
    paragraph(
        box,
        context,
        "Blender is set to stay offline. Skyloop needs the internet for this download only; nothing of yours is sent.",
        icon="INTERNET_OFFLINE",
    )
    if bpy.app.online_access_override:
        paragraph(box, context, "Blender was started with --offline-mode. Start it without.")
        return
    row = box.row(align=True)
    row.operator(SKYLOOP_OT_allow_online.bl_idname, icon="INTERNET")
    row.operator("screen.userpref_show", text="", icon="PREFERENCES").section = "SYSTEM"


def draw_generator(layout: bpy.types.UILayout, context: bpy.types.Context, now: session.BlenderSession) -> None:
    """For the preferences: what there is, how much room it takes, and what can be done with it."""
    stage, facts = now.setup.stage, now.setup.facts
    if stage is not Stage.READY or facts is None:
        draw_setup(layout, context, now)
        return
    column = layout.column(align=True)
    if facts.home != (places.runtime_home() or home()):
        draw_fact(column, context, "Moved To", str(facts.home))
    draw_fact(column, context, "Computes On", facts.accelerator)
    for name, mb in (("Generator", facts.size_mb), ("Downloads", facts.downloads_mb), ("Skies", facts.skies_mb)):
        draw_fact(column, context, name, size_text(mb))
    row = layout.row(align=True)
    row.operator(SKYLOOP_OT_move_generator.bl_idname, text="Move...", icon="FILE_FOLDER")
    row.operator(SKYLOOP_OT_repair.bl_idname, icon="TOOL_SETTINGS")
    row.operator(SKYLOOP_OT_remove_generator.bl_idname, text="Remove...", icon="TRASH")
    row.operator(SKYLOOP_OT_look_again.bl_idname, text="", icon="FILE_REFRESH")
    draw_older(layout, facts)


def draw_older(layout: bpy.types.UILayout, facts: Survey) -> None:
    """An offer to remove what an earlier version left."""
    if facts.old_mb:
        text = tr("Remove {size} of an Older Version").format(size=size_text(facts.old_mb))
        layout.operator(SKYLOOP_OT_remove_generator.bl_idname, text=text, icon="TRASH").old = True


def draw_fact(layout: bpy.types.UILayout, context: bpy.types.Context, name: str, value: str) -> None:
    """A name and its value beside it, over as many lines as it takes; below it where the name would be cut."""
    room = (width_of(context) - 60.0) / 6.0
    beside = width(tr(name)) <= room * NAME_SHARE
    split = layout.split(factor=NAME_SHARE) if beside else layout.column(align=True)
    left = split.row()
    left.alignment, left.active = "RIGHT" if beside else "LEFT", False
    left.label(text=name)
    column = split.column(align=True)
    lines = wrapped(tr(value), max(16, int(room * (1.0 - NAME_SHARE if beside else 1.0))))
    column.scale_y = 1.0 if len(lines) == 1 else 0.8
    for line in lines:
        column.label(text=line, translate=False)


def _warn(layout: bpy.types.UILayout, context: bpy.types.Context, text: str) -> None:
    column = layout.column()
    column.alert = True
    paragraph(column, context, text, icon="ERROR")
