"""What sky it shall be: the prompt, its size, the button; and the settings behind them."""

import bpy

from .. import places, session
from ..core.checks import Check, Severity, about, amount
from ..core.state import NOT_SET_UP
from ..core.stock import BUILT_IN, gigabytes, known, name_of
from ..core.styles import CUSTOM as CUSTOM_STYLE
from ..core.styles import EXAMPLES
from ..explore.operators import SKYLOOP_OT_start_from_prompt
from ..explore.panel import draw_try
from ..models import shelf
from ..models.panel import draw_work, icon_of
from ..sky.operators import SKYLOOP_OT_front_from_camera
from ..ui import SkyloopPanel, is_narrow, paragraph, tr
from .operators import SKYLOOP_OT_choose_model, SKYLOOP_OT_fix, SKYLOOP_OT_generate, SKYLOOP_OT_use_prompt
from .presets import PANELS as PRESETS
from .presets import SKYLOOP_PT_presets
from .request import estimate_of, found_in, request_of
from .seeds import SKYLOOP_OT_copy_seed, SKYLOOP_OT_new_seed, SKYLOOP_OT_paste_seed

ICONS = {Severity.ERROR: "ERROR", Severity.WARNING: "ERROR", Severity.INFO: "INFO"}
ALWAYS_SEEN = ("prompt", "model", "size")  # the places that are not folded away


def draw_request(layout: bpy.types.UILayout, context: bpy.types.Context, now: session.BlenderSession) -> None:
    settings, found = context.scene.skyloop, found_in(context)
    column = layout.column()
    row = column.row(align=True)
    row.prop(settings, "prompt", text="", placeholder="A sky in a few words", icon="OUTLINER_OB_FONT")
    row.menu(SKYLOOP_MT_examples.bl_idname, text="", icon="DOWNARROW_HLT")
    draw_checks(column, context, found, "prompt")
    draw_model(column, context, found)
    row = column.row(align=True)
    sizes = row.grid_flow(row_major=True, columns=2, even_columns=True, align=True) if is_narrow(context) else row
    sizes.prop(settings, "quality", expand=True)
    row.popover(SKYLOOP_PT_presets.__name__, text="", icon="PRESET")
    if settings.quality == "CUSTOM":
        column.prop(settings, "custom_width")
    draw_checks(column, context, found, "size")
    column = layout.column()
    column.scale_y = 1.5
    if now.queue.tasks:
        column.operator(SKYLOOP_OT_generate.bl_idname, text="Add to Queue", icon="ADD")
    else:
        column.operator(SKYLOOP_OT_generate.bl_idname, icon="RENDER_ANIMATION")
    if settings.prompt:
        draw_estimate(layout, context)
        draw_try(layout, context)
    for check in found:  # what stands in the way must be seen even where its own place is folded away
        if check.place not in ALWAYS_SEEN and check.severity is not Severity.INFO:
            draw_check(layout, context, check)


def draw_model(layout: bpy.types.UILayout, context: bpy.types.Context, found: list[Check]) -> None:
    """What makes the sky, and what keeps it from doing so."""
    model = context.scene.skyloop.model
    layout.menu(SKYLOOP_MT_models.bl_idname, text=name_of(model), icon=icon_of(model), translate=False)
    draw_checks(layout, context, found, "model")
    draw_work(layout, context)


def draw_estimate(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What the next sky takes."""
    cost = estimate_of(request_of(context.scene, device=places.device()))
    text = tr("Takes {time}, {memory} memory").format(time=tr(about(cost.seconds)), memory=amount(cost.memory_mb))
    column = layout.column()
    column.active = False
    paragraph(column, context, text, icon="TIME")


def draw_checks(layout: bpy.types.UILayout, context: bpy.types.Context, found: list[Check], place: str) -> None:
    """What there is to say about one place of the panel, each with the button that sets it right."""
    for check in found:
        if check.place != place:
            continue
        if check.id == "prompt" and not context.scene.skyloop.prompt:
            draw_fix(layout, check)  # an empty field is no mistake yet: an example is offered, nothing is said
        else:
            draw_check(layout, context, check)


def draw_check(layout: bpy.types.UILayout, context: bpy.types.Context, check: Check) -> None:
    column = layout.column(align=True)
    text = column.column()
    text.alert = check.severity is Severity.ERROR
    paragraph(text, context, check.message, icon=ICONS[check.severity])
    draw_fix(column, check)


def draw_fix(layout: bpy.types.UILayout, check: Check) -> None:
    if (fix := check.fix) is None:
        return
    if fix.operator:
        button = layout.operator(fix.operator, text=tr(fix.label), translate=False)
        for name, value in fix.arguments.items():
            setattr(button, name, value)
    else:
        layout.operator(SKYLOOP_OT_fix.bl_idname, text=tr(fix.label), translate=False).check = check.id


class SKYLOOP_MT_examples(bpy.types.Menu):
    bl_idname = "SKYLOOP_MT_examples"
    bl_label = "Examples"
    bl_description = "Prompts that work well, to begin with"

    def draw(self, context: bpy.types.Context) -> None:
        for prompt in EXAMPLES:
            self.layout.operator(SKYLOOP_OT_use_prompt.bl_idname, text=prompt, translate=False).prompt = prompt


class SKYLOOP_MT_models(bpy.types.Menu):
    bl_idname = "SKYLOOP_MT_models"
    bl_label = "Model"
    bl_description = "What makes the sky"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        self.draw_those(layout, here=True)
        layout.separator()
        layout.label(text="To Download")
        self.draw_those(layout, here=False)

    def draw_those(self, layout: bpy.types.UILayout, *, here: bool) -> None:
        for entry in known().values():
            held = shelf.held(entry.id)
            if (entry.id == BUILT_IN or bool(held and held.ready)) is not here:
                continue
            card = tr("card from {size} GB").format(size=f"{entry.memory.min_gb:g}")
            text = entry.name if here else f"{entry.name}: {gigabytes(entry.size_mb)}, {card}"
            button = layout.operator(
                SKYLOOP_OT_choose_model.bl_idname, text=text, icon=icon_of(entry.id), translate=False
            )
            button.model = entry.id


class SKYLOOP_PT_settings(SkyloopPanel, bpy.types.Panel):
    bl_label = "Settings"
    bl_parent_id = "SKYLOOP_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return session.current().state not in NOT_SET_UP

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        self.layout.emboss = "NONE"
        self.layout.popover(SKYLOOP_PT_presets.__name__, text="", icon="PRESET")

    def draw(self, context: bpy.types.Context) -> None:
        layout, found = self.layout, found_in(context)
        layout.use_property_split = not is_narrow(context)
        layout.use_property_decorate = False
        for place, draw in (
            ("words", self.draw_words),
            ("seed", self.draw_seed),
            ("length", self.draw_length),
            ("view", self.draw_view),
            ("start", self.draw_start),
        ):
            draw(layout.column(align=True), context.scene.skyloop)
            draw_checks(layout, context, found, place)
        layout.prop(context.scene.skyloop, "auto_apply")

    def draw_words(self, layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
        layout.prop(settings, "style")
        if settings.style == CUSTOM_STYLE:
            layout.prop(settings, "style_text", text=" ")
        layout.prop(settings, "negative")

    def draw_seed(self, layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
        row = layout.row(align=True)
        field = row.row(align=True)
        field.enabled = not settings.random_seed
        field.prop(settings, "seed")
        icon = "UNLOCKED" if settings.random_seed else "LOCKED"
        row.prop(settings, "random_seed", text="", icon=icon, toggle=True, invert_checkbox=True)
        row.operator(SKYLOOP_OT_new_seed.bl_idname, text="", icon="FILE_REFRESH")
        row.operator(SKYLOOP_OT_copy_seed.bl_idname, text="", icon="COPYDOWN")
        row.operator(SKYLOOP_OT_paste_seed.bl_idname, text="", icon="PASTEDOWN")

    def draw_length(self, layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
        layout.prop(settings, "duration_s")
        layout.prop(settings, "frames")
        row = layout.row(align=True)
        field = row.row(align=True)
        field.enabled = not settings.match_scene_fps
        if settings.match_scene_fps:
            render = settings.id_data.render
            field.prop(render, "fps", text="Frame Rate")
        else:
            field.prop(settings, "fps")
        row.prop(settings, "match_scene_fps", text="", icon="SCENE_DATA", toggle=True)
        layout.prop(settings, "loop")

    def draw_view(self, layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
        row = layout.row(align=True)
        row.prop(settings, "front_deg")
        row.operator(SKYLOOP_OT_front_from_camera.bl_idname, text="", icon="CAMERA_DATA")
        layout.prop(settings, "fov_deg")

    def draw_start(self, layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
        if settings.explore.source:
            row = layout.row(align=True)
            row.prop(settings.explore, "source")
            row.operator(SKYLOOP_OT_start_from_prompt.bl_idname, text="", icon="X")
            layout.prop(settings.explore, "strength")


CLASSES = (*PRESETS, SKYLOOP_MT_examples, SKYLOOP_MT_models, SKYLOOP_PT_settings)
