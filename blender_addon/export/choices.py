"""What can be chosen of an export, what will be written, and what stands against it: for the panel and the dialog."""

import bpy

from ...backend.exports.limits import limit
from ...backend.exports.request import ExportRequest
from ...backend.exports.targets import TARGETS
from ...backend.protocol import SkyloopError, bad_request
from ..core.exporting import Found, is_smaller, option_key, outcome, problems, turns
from ..ui import is_narrow, paragraph, tr
from . import look, scene, work
from .properties import FILE, SKYLOOP_PG_export
from .request import place_of, request_of, wants_scene
from .words import error_in_words, in_words


def draw_choices(layout: bpy.types.UILayout, context: bpy.types.Context, job: str = "") -> bool:
    """Draw all choices, of one sky where ``job`` is given; whether the export can begin."""
    settings = context.scene.skyloop.export
    column = layout.column()
    column.use_property_split = not is_narrow(context)
    column.use_property_decorate = False
    if not job:
        column.prop(settings, "source")
        if settings.source == FILE:
            column.prop(settings, "film")
    column.prop(settings, "target")
    _draw_options(column, settings)
    column.prop(settings, "folder")
    try:
        place = place_of(context.scene, job)
    except SkyloopError as error:
        _draw_problem(layout, context, error)
        return False
    if (found := look.at(place)) is None:
        layout.label(text="Looking for the film", icon="VIEWZOOM")
        return False
    if found.earlier:
        column.prop(settings, "replace")
    return _draw_outcome(layout, context, settings, request_of(context.scene, found, place), found)


def _draw_options(column: bpy.types.UILayout, settings: SKYLOOP_PG_export) -> None:
    target = TARGETS[settings.target]
    for option in target.options:
        column.prop(settings, option_key(target, option))
    column.prop(settings, "height")
    if target.takes_scene and target.name != "scene":
        column.prop(settings, "with_scene")
    if not wants_scene(settings):
        column.prop(settings, "facing")
    if turns(target, settings.scene_beside if target.name == "scene" else ""):
        column.prop(settings, "prerotate")


def _draw_outcome(
    layout: bpy.types.UILayout,
    context: bpy.types.Context,
    settings: SKYLOOP_PG_export,
    wanted: ExportRequest,
    found: Found,
) -> bool:
    if found.out == work.made() and not wanted.force:  # it is there because all went well
        text = "This folder holds the export that was just made: switch Replace on to make it anew."
        paragraph(layout, context, text, icon="INFO")
        return False
    told = problems(wanted, found)
    for error in told:
        _draw_problem(layout, context, error)
    if not told:
        column = layout.column(align=True)
        paragraph(column, context, outcome(wanted, found.film), icon="FILE_IMAGE")
        if is_smaller(wanted, found.film):
            text = tr("Smaller than the film: {why}").format(why=in_words(limit(wanted).why))
            paragraph(column, context, text, icon="BLANK1")
        paragraph(column, context, tr("Into {folder}").format(folder=found.out), icon="FILE_FOLDER")
    return (not wants_scene(settings) or _draw_scene(layout, context)) and not told


def _draw_scene(layout: bpy.types.UILayout, context: bpy.types.Context) -> bool:
    """What there is to know of the scene that goes along; whether it can be written."""
    if reason := scene.why_not():
        _draw_problem(layout, context, bad_request(f"{reason}."))
        layout.operator("preferences.addon_enable", text="Switch It On", icon="CHECKMARK").module = scene.MODULE
        return False
    paragraph(layout, context, "Blender stands still while the scene is written.", icon="INFO")
    return True


def _draw_problem(layout: bpy.types.UILayout, context: bpy.types.Context, error: SkyloopError) -> None:
    column, said = layout.column(), error_in_words(error)
    column.alert = True
    paragraph(column, context, f"{said.message} {said.hint}".strip(), icon="ERROR")
