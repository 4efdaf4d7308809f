"""The sky that is the World now: where it points, how it looks and lights, how it plays."""

import bpy

from .. import session
from ..core.state import NOT_SET_UP
from ..languages import OWN
from ..ui import SkyloopPanel, is_narrow, paragraph, tr
from . import lamp, nodes, sequence, timeline, work, world
from .film_operators import (
    SKYLOOP_OT_cancel_work,
    SKYLOOP_OT_choose_film,
    SKYLOOP_OT_dismiss_work,
    SKYLOOP_OT_find_film,
    SKYLOOP_OT_save_asset,
    SKYLOOP_OT_show_movie,
    SKYLOOP_OT_write_sequence,
)
from .light_operators import (
    SKYLOOP_OT_add_sun_lamp,
    SKYLOOP_OT_check_brightness,
    SKYLOOP_OT_find_sun,
    SKYLOOP_OT_match_brightness,
    SKYLOOP_OT_measure_light,
    SKYLOOP_OT_remove_sun_lamp,
    sentence,
)
from .operators import SKYLOOP_OT_front_from_camera, SKYLOOP_OT_match_timeline, SKYLOOP_OT_restore_world


def draw_sliders(layout: bpy.types.UILayout, sky: bpy.types.World, *names: str) -> None:
    """The group's own inputs, so that they can be keyed and driven where they are shown."""
    column = layout.column(align=True)
    for name in names:
        if socket := nodes.slider(sky, name):
            column.prop(socket, "default_value", text=name, text_ctxt=OWN)


class SKYLOOP_PT_world(SkyloopPanel, bpy.types.Panel):
    bl_label = "World"
    bl_parent_id = "SKYLOOP_PT_main"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A sky that came with a file needs no generator."""
        return world.is_sky(context.scene.world) or session.current().state not in NOT_SET_UP

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        layout.use_property_split = not is_narrow(context)
        sky = scene.world if world.is_sky(scene.world) else None
        if sky and sky.skyloop.missing:
            draw_missing(layout, context, sky)
        row = layout.row(align=True)
        if sky and (front := nodes.slider(sky, "Front")):
            row.prop(front, "default_value", text="Front", text_ctxt=OWN)
        else:
            row.use_property_decorate = False
            row.prop(scene.skyloop, "front_deg")
        row.operator(SKYLOOP_OT_front_from_camera.bl_idname, text="", icon="CAMERA_DATA")
        if not sky:
            return
        if nodes.node_of(sky):
            draw_sliders(layout, sky, "Strength", "Lighting")
        else:
            paragraph(layout, context, "The Skyloop node was taken out of this World: apply the sky again.", "INFO")
        layout.operator(SKYLOOP_OT_restore_world.bl_idname, icon="LOOP_BACK")
        draw_work(layout, context)


def draw_missing(layout: bpy.types.UILayout, context: bpy.types.Context, sky: bpy.types.World) -> None:
    """What Blender itself shows as magenta, and the ways out."""
    box = layout.box()
    column = box.column()
    column.alert = True
    image = world.sky_image(sky)
    text = tr("The film of this sky is missing: {file}").format(file=image.filepath if image else "")
    paragraph(column, context, text, icon="ERROR")
    row = box.row(align=True)
    row.operator(SKYLOOP_OT_find_film.bl_idname, icon="VIEWZOOM")
    row.operator(SKYLOOP_OT_choose_film.bl_idname, icon="FILEBROWSER")
    box.operator(SKYLOOP_OT_restore_world.bl_idname, icon="LOOP_BACK")


def draw_work(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The command that is under way for the sky, or why it failed."""
    if now := work.current():
        row = layout.row(align=True)
        row.progress(factor=now.tool.progress.factor, text=work.text())
        row.operator(SKYLOOP_OT_cancel_work.bl_idname, text="", icon="X")
    elif problem := work.problem():
        box = layout.box()
        row = box.row()
        column = row.column()
        column.alert = True
        paragraph(column, context, problem.message, icon="ERROR", beside=2.0)
        row.operator(SKYLOOP_OT_dismiss_work.bl_idname, text="", icon="X", emboss=False)
        if problem.hint:
            paragraph(box, context, problem.hint)


class SkyPanel(SkyloopPanel):
    """A part of the World's panel, there while a sky is."""

    bl_parent_id = "SKYLOOP_PT_world"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return world.is_sky(context.scene.world) and nodes.node_of(context.scene.world) is not None


class SKYLOOP_PT_look(SkyPanel, bpy.types.Panel):
    bl_label = "Look"

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.use_property_split = not is_narrow(context)
        draw_sliders(self.layout, context.scene.world, "Tint", "Saturation", "Horizon Blur")


class SKYLOOP_PT_time(SkyPanel, bpy.types.Panel):
    bl_label = "Timeline"

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        layout.use_property_split = not is_narrow(context)
        layout.use_property_decorate = False
        sky, record = scene.world, scene.world.skyloop
        column = layout.column(align=True)
        column.prop(record, "speed")
        column.prop(record, "reverse")
        column.prop(record, "frame_offset")
        scene_fps = scene.render.fps / scene.render.fps_base
        if abs(scene_fps - record.fps) > 0.01:
            text = tr("The scene runs at {scene} fps, the sky was made for {sky}.")
            paragraph(layout, context, text.format(scene=f"{scene_fps:g}", sky=f"{record.fps:g}"), icon="INFO")
            text = tr("Set Scene to {fps} fps").format(fps=f"{record.fps:g}")
            button = layout.operator(SKYLOOP_OT_match_timeline.bl_idname, text=text, icon="TIME", translate=False)
            button.fps, button.frame_range = True, False
        loop = timeline.loop_length(sky)
        if (scene.frame_end - scene.frame_start + 1) % loop:
            text = tr("Set Scene to Frames 1-{last}").format(last=loop)
            button = layout.operator(
                SKYLOOP_OT_match_timeline.bl_idname, text=text, icon="PREVIEW_RANGE", translate=False
            )
            button.fps, button.frame_range = False, True


class SKYLOOP_PT_hdr(SkyPanel, bpy.types.Panel):
    bl_label = "Highlights"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = not is_narrow(context)
        layout.operator(SKYLOOP_OT_find_sun.bl_idname, icon="LIGHT_SUN")
        names = ("Boost", "Boost Above", "Sun Focus", "Sun Yaw", "Sun Pitch", "Sun Size")
        draw_sliders(layout, context.scene.world, *names)


class SKYLOOP_PT_light(SkyPanel, bpy.types.Panel):
    bl_label = "Light"

    def draw(self, context: bpy.types.Context) -> None:
        layout, sky = self.layout, context.scene.world
        layout.use_property_split = not is_narrow(context)
        self.draw_lamp(context, sky)
        if sky.skyloop.brightness:
            paragraph(layout, context, sentence(sky.skyloop.brightness), icon="LIGHTPROBE_SPHERE")
        layout.operator(SKYLOOP_OT_check_brightness.bl_idname, icon="EYEDROPPER")
        if sky.skyloop.brightness:
            row = layout.row(align=True)
            row.operator(SKYLOOP_OT_match_brightness.bl_idname, text="Set Exposure").by = "EXPOSURE"
            row.operator(SKYLOOP_OT_match_brightness.bl_idname, text="Set Lighting").by = "LIGHTING"

    def draw_lamp(self, context: bpy.types.Context, sky: bpy.types.World) -> None:
        layout = self.layout
        if lamp.lamp_of(sky) is None:
            layout.operator(SKYLOOP_OT_add_sun_lamp.bl_idname, icon="LIGHT_SUN")
            return
        row = layout.row(align=True)
        changed = sky.skyloop.sun_made_for != lamp.made_for(sky)
        button = row.row(align=True)
        button.alert = changed
        button.operator(SKYLOOP_OT_add_sun_lamp.bl_idname, text="Update Sun Lamp", icon="FILE_REFRESH")
        row.operator(SKYLOOP_OT_remove_sun_lamp.bl_idname, text="", icon="TRASH")
        if changed:
            paragraph(layout, context, "The sky was changed since: update the lamp to match.", icon="INFO")
        draw_sliders(layout, sky, "Lamp", "Lamp Above")
        layout.operator(SKYLOOP_OT_measure_light.bl_idname, icon="TRACKING")


class SKYLOOP_PT_film(SkyPanel, bpy.types.Panel):
    bl_label = "Film and Asset"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        if sequence.is_sequence(context.scene.world):
            layout.operator(SKYLOOP_OT_show_movie.bl_idname, icon="FILE_MOVIE")
        else:
            layout.operator_menu_enum(SKYLOOP_OT_write_sequence.bl_idname, "file_format", icon="RENDERLAYERS")
        layout.operator(SKYLOOP_OT_choose_film.bl_idname, icon="FILEBROWSER")
        layout.operator(SKYLOOP_OT_save_asset.bl_idname, icon="ASSET_MANAGER")


CLASSES = (
    SKYLOOP_PT_world,
    SKYLOOP_PT_look,
    SKYLOOP_PT_hdr,
    SKYLOOP_PT_light,
    SKYLOOP_PT_time,
    SKYLOOP_PT_film,
)
