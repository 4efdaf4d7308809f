"""Directions: regions and the picture. Camera: only what it sees."""

import math

import bpy

from .. import session
from ..core.state import NOT_SET_UP
from ..sky.operators import SKYLOOP_OT_front_from_camera
from ..ui import SkyloopPanel, is_narrow, paragraph, tr
from . import camera, edit, masks, painting, regions
from . import operators as ops
from . import paint_operators as paint


class _Steering(SkyloopPanel):
    bl_parent_id = "SKYLOOP_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return session.current().state not in NOT_SET_UP


class SKYLOOP_UL_regions(bpy.types.UIList):
    """The scene's objects, of which only the regions are shown, in painting order."""

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        data: bpy.types.Scene,
        item: bpy.types.Object,
        icon: int,
        active_data: bpy.types.PropertyGroup,
        active_property: str,
        index: int = 0,
        flt_flag: int = 0,
    ) -> None:
        row = layout.row(align=True)
        row.prop(item.skyloop, "enabled", text="")
        icon_name = "ERROR" if regions.problem(data, item) else "NONE"
        row.prop(item.skyloop, "prompt", text="", emboss=False, icon=icon_name, placeholder=item.name)
        side = row.row()
        side.alignment = "RIGHT"
        side.active = item.skyloop.enabled
        side.label(text=read_out(data, item), translate=False)

    def filter_items(
        self, context: bpy.types.Context, data: bpy.types.Scene, propname: str
    ) -> tuple[list[int], list[int]]:
        things = getattr(data, propname)
        place = {thing.name: number for number, thing in enumerate(regions.of_scene(data))}
        words = self.filter_name.lower()
        flags, order, rest = [], [], len(place)
        for thing in things:
            at = place.get(thing.name)
            hit = at is not None and words in f"{thing.name} {thing.skyloop.prompt}".lower()
            flags.append(self.bitflag_filter_item if hit else 0)
            order.append(rest if at is None else at)
            rest += at is None
        return flags, order


def read_out(scene: bpy.types.Scene, thing: bpy.types.Object) -> str:
    """Where a region is and how large, in the fewest words: 30° right, 10° up, by the sky's front."""
    at = regions.direction_of(scene, thing)
    if at is None:
        return "–"
    height = f"{at[1]:+.0f}°"
    if thing.skyloop.around:
        return f"↻ {height}"
    return f"{regions.sky_yaw(scene, at[0]):+.0f}° {height}"


def whereabouts(scene: bpy.types.Scene, thing: bpy.types.Object) -> str:
    """Where a region is, in words."""
    at = regions.direction_of(scene, thing)
    if at is None:
        return ""
    yaw, pitch = round(regions.sky_yaw(scene, at[0])), round(at[1])
    height = tr("{angle}° up" if pitch >= 0 else "{angle}° down").format(angle=abs(pitch))
    if thing.skyloop.around:
        return tr("All around, {height}").format(height=height)
    side = tr("{angle}° right of front" if yaw >= 0 else "{angle}° left of front").format(angle=abs(yaw))
    return f"{side}, {height}"


class SKYLOOP_PT_directions(_Steering, bpy.types.Panel):
    bl_label = "Directions"

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        found = regions.of_scene(scene)
        column = layout.column(align=True)
        column.operator(ops.SKYLOOP_OT_region_add.bl_idname, icon="ADD")
        column.operator(ops.SKYLOOP_OT_region_add_band.bl_idname, icon="MESH_CIRCLE")
        if not found:
            paragraph(layout, context, "Other words for a part of the sky: a storm ahead, stars above")
            return
        row = layout.row()
        row.template_list("SKYLOOP_UL_regions", "", scene, "objects", scene.skyloop.direct, "region_index", rows=4)
        buttons = row.column(align=True)
        buttons.operator(ops.SKYLOOP_OT_region_remove.bl_idname, text="", icon="REMOVE")
        buttons.separator()
        buttons.operator(ops.SKYLOOP_OT_region_move.bl_idname, text="", icon="TRIA_UP").direction = "UP"
        buttons.operator(ops.SKYLOOP_OT_region_move.bl_idname, text="", icon="TRIA_DOWN").direction = "DOWN"
        if text := regions.too_many(found):
            paragraph(layout, context, text, icon="ERROR")
        active = context.view_layer.objects.active
        if active in found:
            self.draw_region(context, scene, active)
        column = layout.column(align=True)
        column.use_property_split = not is_narrow(context)
        column.use_property_decorate = False
        column.prop(scene.skyloop.direct, "show_overlay")
        row = column.row()
        row.use_property_split = True  # a choice has no room for its name
        row.prop(scene.skyloop.direct, "centre")

    def draw_region(self, context: bpy.types.Context, scene: bpy.types.Scene, thing: bpy.types.Object) -> None:
        settings, box = thing.skyloop, self.layout.box()
        box.prop(settings, "prompt", text="", placeholder="What is there, in a few words")
        if text := regions.problem(scene, thing):
            text = tr(text)
            paragraph(box, context, text[:1].upper() + text[1:], icon="ERROR", beside=1)
        if words := whereabouts(scene, thing):
            box.label(text=words, translate=False)
        column = box.column(align=True)
        column.prop(settings, "radius_deg")
        row = column.row(align=True)
        row.prop(settings, "around", toggle=True)
        row.prop(thing, "color", text="")
        if not settings.around:
            box.operator(ops.SKYLOOP_OT_region_point.bl_idname, icon="HIDE_OFF")


class SKYLOOP_PT_picture(_Steering, bpy.types.Panel):
    bl_label = "Start from a Picture"
    bl_parent_id = "SKYLOOP_PT_directions"

    def draw(self, context: bpy.types.Context) -> None:
        layout, direct = self.layout, context.scene.skyloop.direct
        layout.use_property_split = not is_narrow(context)
        layout.use_property_decorate = False
        layout.prop(direct, "photo", text="")
        if direct.photo_problem:
            paragraph(layout, context, direct.photo_problem, icon="ERROR")
        if direct.photo:
            row = layout.row()
            row.use_property_split = False  # the words need all of a narrow panel
            row.prop(direct, "photo_kind", expand=True)
        if direct.photo and direct.photo_kind == "PHOTO":
            column = layout.column(align=True)
            column.prop(direct, "photo_yaw_deg")
            column.prop(direct, "photo_pitch_deg")
            column.prop(direct, "photo_fov_deg")
        if direct.photo_kind == "PHOTO":
            layout.operator(ops.SKYLOOP_OT_photo_at_camera.bl_idname, icon="CAMERA_DATA")


class SKYLOOP_PT_motion(_Steering, bpy.types.Panel):
    bl_label = "Motion"
    bl_parent_id = "SKYLOOP_PT_directions"

    def draw(self, context: bpy.types.Context) -> None:
        layout, direct = self.layout, context.scene.skyloop.direct
        layout.prop(direct, "motion", slider=True)
        column = layout.column()
        column.enabled = direct.motion > 0
        if draw_painting(column, context, masks.MOTION):
            column.row().prop(direct, "motion_painted", expand=True)


class SKYLOOP_PT_part(_Steering, bpy.types.Panel):
    bl_label = "Change a Part of the Sky"

    def draw(self, context: bpy.types.Context) -> None:
        layout, direct = self.layout, context.scene.skyloop.direct
        if reason := edit.why_not(context.scene):
            paragraph(layout, context, reason, icon="INFO")
            return
        column = layout.column(align=True)
        column.operator(paint.SKYLOOP_OT_reroll_view.bl_idname, icon="HIDE_OFF")
        column.prop(direct, "reroll_radius_deg")
        if draw_painting(layout, context, masks.EDIT):
            layout.operator(paint.SKYLOOP_OT_reroll_painted.bl_idname, icon="FILE_REFRESH")
            column = layout.column(align=True)
            column.prop(direct, "edit_prompt", text="", placeholder="Something else in the painted part")
            row = column.row(align=True)
            row.enabled = bool(direct.edit_prompt.strip())
            row.operator(paint.SKYLOOP_OT_edit_painted.bl_idname, icon="GREASEPENCIL")


def draw_header(self: bpy.types.Header, context: bpy.types.Context) -> None:
    """While a mask is painted, the way back is in the viewport's header too."""
    if painting.sphere_of(context.scene):
        row = self.layout.row(align=True)
        row.operator(paint.SKYLOOP_OT_paint_done.bl_idname, icon="CHECKMARK")
        row.operator(paint.SKYLOOP_OT_paint_discard.bl_idname, icon="X")


def draw_painting(layout: bpy.types.UILayout, context: bpy.types.Context, kind: str) -> bool:
    """The buttons to paint a mask of that kind; whether there is one, and it is not being painted."""
    scene = context.scene
    sphere, mask = painting.sphere_of(scene), masks.image_of(scene, kind)
    if sphere and scene.skyloop.direct.painting == kind:
        box = layout.box()
        paragraph(box, context, "Paint on the sky: what is red is the mask", icon="BRUSH_DATA")
        erasing = painting.is_erasing(context)
        row = box.row(align=True)
        row.operator(paint.SKYLOOP_OT_paint_colour.bl_idname, text="Paint", depress=not erasing).erase = False
        row.operator(paint.SKYLOOP_OT_paint_colour.bl_idname, text="Erase", depress=erasing).erase = True
        row = box.row(align=True)
        row.operator(paint.SKYLOOP_OT_paint_done.bl_idname, icon="CHECKMARK")
        row.operator(paint.SKYLOOP_OT_paint_discard.bl_idname, icon="X")
        return False
    row = layout.row(align=True)
    row.enabled = sphere is None
    text = "Paint on the Mask" if mask else "Paint Mask"
    row.operator(paint.SKYLOOP_OT_paint_mask.bl_idname, text=text, icon="BRUSH_DATA").kind = kind
    if mask:
        row.operator(paint.SKYLOOP_OT_mask_remove.bl_idname, text="", icon="X").kind = kind
    return mask is not None


class SKYLOOP_PT_camera(_Steering, bpy.types.Panel):
    bl_label = "Camera"

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        direct = scene.skyloop.direct
        layout.operator(SKYLOOP_OT_front_from_camera.bl_idname, text="Turn the Sky to the Camera", icon="CAMERA_DATA")
        layout.prop(direct, "only_camera")
        if not direct.only_camera:
            return
        if text := camera.problem(scene):
            paragraph(layout, context, text, icon="ERROR")
            return
        row = layout.row()
        if direct.camera_measured == camera.fingerprint(scene):
            share = math.ceil(100 * direct.camera_share)
            row.label(text=tr("About {share} % of the sky is refined").format(share=share), translate=False)
            row.operator(ops.SKYLOOP_OT_camera_measure.bl_idname, text="", icon="FILE_REFRESH")
        else:
            row.operator(ops.SKYLOOP_OT_camera_measure.bl_idname)
        paragraph(layout, context, "Outside of the camera's picture the sky stays soft", icon="INFO")


CLASSES = (
    SKYLOOP_UL_regions,
    SKYLOOP_PT_directions,
    SKYLOOP_PT_picture,
    SKYLOOP_PT_motion,
    SKYLOOP_PT_part,
    SKYLOOP_PT_camera,
)
