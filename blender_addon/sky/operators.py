"""The World of a scene: put a sky in, turn it, play it, take it out."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty

from ...backend.protocol import SkyloopError
from ..core import jobs
from ..ui import refused, tr
from . import timeline, world


class SKYLOOP_OT_apply_world(bpy.types.Operator):
    """Use this sky as the World of the scene. The World that was there is kept"""

    bl_idname = "skyloop.apply_world"
    bl_label = "Apply to World"
    bl_options = {"REGISTER", "UNDO"}

    job: StringProperty(name="Job Folder", options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            world.apply(context.scene, jobs.read(Path(self.job)), front_deg=context.scene.skyloop.front_deg)
        except SkyloopError as error:
            return refused(self, error)
        return {"FINISHED"}


class SKYLOOP_OT_restore_world(bpy.types.Operator):
    """Bring back the World that this sky replaced"""

    bl_idname = "skyloop.restore_world"
    bl_label = "Restore Previous World"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return world.is_sky(context.scene.world)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            world.restore(context.scene)
        except SkyloopError as error:
            return refused(self, error)
        return {"FINISHED"}


class SKYLOOP_OT_front_from_camera(bpy.types.Operator):
    """Turn the sky so that its middle is where the active camera looks"""

    bl_idname = "skyloop.front_from_camera"
    bl_label = "From the Active Camera"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        cls.poll_message_set(tr("The scene has no active camera"))
        return context.scene.camera is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            context.scene.skyloop.front_deg = world.camera_front_deg(context.scene.camera)
        except SkyloopError as error:
            return refused(self, error)
        return {"FINISHED"}


class SKYLOOP_OT_match_timeline(bpy.types.Operator):
    """Make the scene play as its sky does: one frame of the movie is shown for each frame of the scene"""

    bl_idname = "skyloop.match_timeline"
    bl_label = "Match Scene to Sky"
    bl_options = {"REGISTER", "UNDO"}

    fps: BoolProperty(name="Frame Rate", description="Take over the sky's frame rate", default=True)
    frame_range: BoolProperty(name="Frame Range", description="Make the scene as long as the loop", default=False)
    repeats: IntProperty(name="Loops", description="Times the loop plays in the scene", min=1, soft_max=20, default=1)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return world.is_sky(context.scene.world)

    def execute(self, context: bpy.types.Context) -> set[str]:
        timeline.match(context.scene, fps=self.fps, frame_range=self.frame_range, repeats=self.repeats)
        return {"FINISHED"}


CLASSES = (
    SKYLOOP_OT_apply_world,
    SKYLOOP_OT_restore_world,
    SKYLOOP_OT_front_from_camera,
    SKYLOOP_OT_match_timeline,
)
