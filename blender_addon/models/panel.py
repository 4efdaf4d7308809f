"""The chosen model: what it is, what it needs and costs, whether it is here; and the files that change it."""

import bpy

from ...backend.models.catalogue import Entry
from .. import places, session
from ..core.state import NOT_SET_UP
from ..core.stock import BUILT_IN, DAMAGED, NONE, PARTIAL, READY, Held, fits, gigabytes, known, needs
from ..create.request import computing
from ..setup.panel import draw_fact, draw_online
from ..ui import SkyloopPanel, is_narrow, paragraph, tr
from . import lora, shelf, work
from .lora import SKYLOOP_OT_add_lora, SKYLOOP_OT_remove_lora
from .operators import (
    SKYLOOP_OT_add_model,
    SKYLOOP_OT_cancel_model,
    SKYLOOP_OT_dismiss_models,
    SKYLOOP_OT_get_model,
    SKYLOOP_OT_look_at_models,
    SKYLOOP_OT_move_models,
    SKYLOOP_OT_remove_model,
    SKYLOOP_OT_verify_model,
)

ICONS = {READY: "CHECKMARK", PARTIAL: "SORTTIME", DAMAGED: "ERROR", NONE: "IMPORT"}
"""Of a model in a list: here, begun, damaged, to be got."""


def icon_of(model_id: str) -> str:
    held = shelf.held(model_id)
    return ICONS.get(held.condition, "NONE") if held else "NONE"


def draw_work(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What is done to the models just now, or why it failed."""
    if error := work.problem():
        row = layout.row(align=True)
        column = row.column()
        column.alert = True
        paragraph(column, context, f"{tr(error.message)} {tr(error.hint)}".strip(), icon="ERROR", beside=1.0)
        row.operator(SKYLOOP_OT_dismiss_models.bl_idname, text="", icon="X", emboss=False)
    if (now := work.current()) is None:
        return
    column = layout.column(align=True)
    paragraph(column, context, now.title, icon="IMPORT" if now.model else "TIME")
    row = column.row(align=True)
    text = ": ".join(filter(None, (tr(now.progress.label), tr(now.progress.amount))))
    row.progress(factor=now.progress.factor, text=text)
    row.operator(SKYLOOP_OT_cancel_model.bl_idname, text="", icon="X")
    if pace := now.progress.pace:
        column.label(text=", ".join(tr(part) for part in pace.split(", ")), translate=False)


class SKYLOOP_UL_loras(bpy.types.UIList):
    """LoRA files with their strengths."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0, flt_flag=0) -> None:
        row = layout.row(align=True)
        row.prop(item, "enabled", text="")
        row.label(text=item.name, icon="ERROR" if item.problem else "NONE", translate=False)
        side = row.row()
        side.active = item.enabled
        side.ui_units_x = 3.2
        side.prop(item, "strength", text="", emboss=False)


class SKYLOOP_PT_model(SkyloopPanel, bpy.types.Panel):
    bl_label = "Model"
    bl_parent_id = "SKYLOOP_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return session.current().state not in NOT_SET_UP

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings = self.layout, context.scene.skyloop
        if entry := known().get(settings.model):
            self.draw_about(context, entry)
            if entry.id != BUILT_IN:
                self.draw_stock(context, entry, shelf.held(entry.id))
        column = layout.column(align=True)
        column.use_property_split = not is_narrow(context)
        column.use_property_decorate = False
        column.prop(settings, "steps")
        column.prop(settings, "guidance")
        if entry:
            own = tr("0 is its own: {steps} steps, guidance {guidance}")
            own = own.format(steps=entry.preset.steps, guidance=f"{entry.preset.guidance:g}")
            column = layout.column()
            column.active = False
            paragraph(column, context, own)
        if settings.model != BUILT_IN:
            self.draw_loras(context, settings.models)

    def draw_about(self, context: bpy.types.Context, entry: Entry) -> None:
        layout = self.layout
        paragraph(layout, context, tr(entry.summary))
        if entry.id == BUILT_IN:
            return
        window, column = entry.window, layout.column(align=True)
        draw_fact(column, context, "Graphics Card", fit_of(entry))
        draw_fact(column, context, "Memory", tr(f"{entry.memory.host_gb:g} GB of the computer"))
        if entry.architecture.time_ratio > 1 or window.frames_px > 1:
            seconds = f"{window.frames_px / window.fps:.2g}"
            text = tr("Clips of {seconds} s, {fps} frames a second").format(seconds=seconds, fps=f"{window.fps:g}")
            draw_fact(column, context, "Trained On", text)
        row = layout.row(align=True)
        paragraph(row.column(align=True), context, entry.licence.name, "TEXT", beside=1.0)
        if entry.licence.link:
            row.operator("wm.url_open", text="", icon="URL").url = entry.licence.link
        paragraph(layout, context, entry.licence.limits)

    def draw_stock(self, context: bpy.types.Context, entry: Entry, held: Held | None) -> None:
        """Where it is, or what getting it takes."""
        layout = self.layout
        column = layout.column(align=True)
        if held is None:
            column.label(text="Looking for the models", icon="VIEWZOOM")
            return
        if held.own:
            draw_fact(column, context, "Your Own", ", ".join(held.own))
        elif held.ready:
            draw_fact(column, context, "On the Disk", gigabytes(held.mb))
        if not held.ready:
            now = shelf.stock()
            draw_fact(column, context, "Download", gigabytes(entry.size_mb))
            if now and now.free_mb is not None:
                draw_fact(column, context, "Free There", gigabytes(now.free_mb))
            if entry.gated:
                text = "It is given to accounts that accepted its conditions: enter a token in the preferences."
                paragraph(layout, context, text, icon="USER")
            if not bpy.app.online_access:
                draw_online(layout, context)
            text = {PARTIAL: "Go On", DAMAGED: "Mend It"}.get(held.condition, "")
            named = {"text": text} if text else {}
            layout.operator(SKYLOOP_OT_get_model.bl_idname, icon="IMPORT", **named).model = entry.id
        row = layout.row(align=True)
        if held.condition == NONE:
            row.operator(SKYLOOP_OT_add_model.bl_idname, text="Use My Own...", icon="FILE_FOLDER").model = entry.id
        else:
            if held.ready or held.condition == DAMAGED:
                row.operator(SKYLOOP_OT_verify_model.bl_idname, icon="VIEWZOOM").model = entry.id
            row.operator(SKYLOOP_OT_remove_model.bl_idname, icon="TRASH").model = entry.id

    def draw_loras(self, context: bpy.types.Context, settings: bpy.types.PropertyGroup) -> None:
        layout = self.layout
        layout.label(text="LoRA Files")
        row = layout.row()
        row.template_list("SKYLOOP_UL_loras", "", settings, "loras", settings, "lora_index", rows=2)
        buttons = row.column(align=True)
        buttons.operator(SKYLOOP_OT_add_lora.bl_idname, text="", icon="ADD")
        buttons.operator(SKYLOOP_OT_remove_lora.bl_idname, text="", icon="REMOVE")
        for text in lora.problems(context.scene):
            column = layout.column()
            column.alert = True
            paragraph(column, context, text, icon="ERROR")


def fit_of(entry: Entry) -> str:
    """Whether a model is for this computer's card; what it needs, as long as nobody knows the card."""
    kind, memory_mb = computing()
    return needs(entry) if memory_mb is None else fits(entry, kind, memory_mb)[1]


def draw_models(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """For the preferences: where models are, what they take, and how they are got."""
    now, preferences = shelf.stock(), places.preferences()
    row = layout.row()
    row.label(text="Models", icon="ASSET_MANAGER")
    if now is None:
        row.label(text="Looking for the models")
    else:
        column = layout.column(align=True)
        draw_fact(column, context, "Kept In", str(now.folder))
        draw_fact(column, context, "Takes", gigabytes(now.used_mb))
        if now.free_mb is not None:
            draw_fact(column, context, "Free There", gigabytes(now.free_mb))
        for entry in known().values():
            held = now.of(entry.id)
            if entry.id != BUILT_IN and held.condition != NONE:
                row = column.row(align=True)
                text = f"{entry.name}, {gigabytes(held.mb)}"
                row.label(text=text, icon=ICONS[held.condition], translate=False)
                row.operator(SKYLOOP_OT_verify_model.bl_idname, text="", icon="VIEWZOOM").model = entry.id
                row.operator(SKYLOOP_OT_remove_model.bl_idname, text="", icon="TRASH").model = entry.id
    row = layout.row(align=True)
    row.operator(SKYLOOP_OT_move_models.bl_idname, text="Move...", icon="FILE_FOLDER")
    row.operator(SKYLOOP_OT_look_at_models.bl_idname, text="", icon="FILE_REFRESH")
    draw_work(layout, context)
    if preferences:
        column = layout.column()
        column.use_property_split = True
        column.prop(preferences, "hub_token")
        column.prop(preferences, "hub_mirror", placeholder="https://huggingface.co")


CLASSES = (SKYLOOP_UL_loras, SKYLOOP_PT_model)
