"""The sky that is the World now: where it points, how it looks and lights, how it plays."""

import bpy

from ..ui import SkyloopPanel, paragraph, tr
from . import nodes, timeline, world
from .operators import SKYLOOP_OT_front_from_camera, SKYLOOP_OT_match_timeline, SKYLOOP_OT_restore_world


def draw_sliders(layout: bpy.types.UILayout, sky: bpy.types.World, *names: str) -> None:
    """The group's own inputs, so that they can be keyed and driven where they are shown."""
    column = layout.column(align=True)
    for name in names:
        if socket := nodes.slider(sky, name):
            column.prop(socket, "default_value", text=name)


class SKYLOOP_PT_world(SkyloopPanel, bpy.types.Panel):
    bl_label = "World"
    bl_parent_id = "SKYLOOP_PT_main"

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        layout.use_property_split = True
        sky = scene.world if world.is_sky(scene.world) else None
        row = layout.row(align=True)
        if sky and (front := nodes.slider(sky, "Front")):
            row.prop(front, "default_value", text="Front")
        else:
            row.use_property_decorate = False
            row.prop(scene.skyloop, "front_deg")
        row.operator(SKYLOOP_OT_front_from_camera.bl_idname, text="", icon="CAMERA_DATA")
        if not sky:
            return
        if nodes.node_of(sky):
            draw_sliders(layout, sky, "Strength", "Lighting")
        else:
            paragraph(layout, context, "The Skyloop node was taken out of this World.", icon="INFO")
        layout.operator(SKYLOOP_OT_restore_world.bl_idname, icon="LOOP_BACK")


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
        self.layout.use_property_split = True
        draw_sliders(self.layout, context.scene.world, "Tint", "Saturation", "Horizon Blur")


class SKYLOOP_PT_time(SkyPanel, bpy.types.Panel):
    bl_label = "Timeline"

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        layout.use_property_split = True
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
        self.layout.use_property_split = True
        names = ("Boost", "Boost Above", "Sun Focus", "Sun Yaw", "Sun Pitch", "Sun Size")
        draw_sliders(self.layout, context.scene.world, *names)


CLASSES = (SKYLOOP_PT_world, SKYLOOP_PT_look, SKYLOOP_PT_hdr, SKYLOOP_PT_time)
