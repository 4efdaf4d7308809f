"""The sky that is the World now: where it points, how bright, how it plays."""

import bpy

from ..ui import SkyloopPanel, paragraph
from . import world
from .operators import SKYLOOP_OT_front_from_camera, SKYLOOP_OT_match_timeline, SKYLOOP_OT_restore_world


class SKYLOOP_PT_world(SkyloopPanel, bpy.types.Panel):
    bl_label = "World"
    bl_parent_id = "SKYLOOP_PT_main"

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        layout.use_property_split = True
        layout.use_property_decorate = False
        row = layout.row(align=True)
        row.prop(scene.skyloop, "front_deg")
        row.operator(SKYLOOP_OT_front_from_camera.bl_idname, text="", icon="CAMERA_DATA")
        if not world.is_sky(scene.world):
            return
        nodes = scene.world.node_tree.nodes if scene.world.node_tree else ()
        background = next((n for n in nodes if n.bl_idname == "ShaderNodeBackground"), None)
        if background:
            layout.prop(background.inputs["Strength"], "default_value", text="Strength")
        self.draw_timeline(context, scene)
        layout.operator(SKYLOOP_OT_restore_world.bl_idname, icon="LOOP_BACK")

    def draw_timeline(self, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        scene_fps, sky_fps = scene.render.fps / scene.render.fps_base, scene.world.skyloop.fps
        if abs(scene_fps - sky_fps) > 0.01:
            paragraph(
                self.layout,
                context,
                f"The scene runs at {scene_fps:g} fps, the sky was made for {sky_fps:g}.",
                icon="INFO",
            )
            button = self.layout.operator(
                SKYLOOP_OT_match_timeline.bl_idname, text=f"Set Scene to {sky_fps:g} fps", icon="TIME"
            )
            button.fps, button.frame_range = True, False
        image = world.sky_image(scene.world)
        if image and (scene.frame_end - scene.frame_start + 1) % max(1, image.frame_duration):
            button = self.layout.operator(
                SKYLOOP_OT_match_timeline.bl_idname,
                text=f"Set Scene to Frames 1-{image.frame_duration}",
                icon="PREVIEW_RANGE",
            )
            button.fps, button.frame_range = False, True


CLASSES = (SKYLOOP_PT_world,)
