"""The World of a scene: put a sky in, turn it, play it, take it out."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty

from ..core import jobs
from ..ui import Action
from . import timeline, world


class SKYLOOP_OT_apply_world(Action, bpy.types.Operator):
    """Use this sky as the World of the scene. The World that was there is kept"""

    bl_idname = "skyloop.apply_world"
    bl_label = "Apply to World"
    bl_options = {"REGISTER", "UNDO"}

    job: StringProperty(name="Job Folder", options={"SKIP_SAVE", "HIDDEN"})

    def act(self, context: bpy.types.Context) -> None:
        world.apply(context.scene, jobs.read(Path(self.job)), front_deg=context.scene.skyloop.front_deg)


class SKYLOOP_OT_restore_world(Action, bpy.types.Operator):
    """Bring back the World that this sky replaced"""

    bl_idname = "skyloop.restore_world"
    bl_label = "Restore Previous World"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if world.is_sky(context.scene.world) else "The World of this scene is not a Skyloop sky"

    def act(self, context: bpy.types.Context) -> None:
        world.restore(context.scene)


class SKYLOOP_OT_front_from_camera(Action, bpy.types.Operator):
    """Turn the sky so that its middle is where the active camera looks"""

    bl_idname = "skyloop.front_from_camera"
    bl_label = "From the Active Camera"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if context.scene.camera else "The scene has no active camera"

    def act(self, context: bpy.types.Context) -> None:
        context.scene.skyloop.front_deg = world.camera_front_deg(context.scene.camera)


class SKYLOOP_OT_match_timeline(Action, bpy.types.Operator):
    """Make the scene play as its sky does: one frame of the movie is shown for each frame of the scene"""

    bl_idname = "skyloop.match_timeline"
    bl_label = "Match Scene to Sky"
    bl_options = {"REGISTER", "UNDO"}

    fps: BoolProperty(name="Frame Rate", description="Take over the sky's frame rate", default=True)
    frame_range: BoolProperty(name="Frame Range", description="Make the scene as long as the loop", default=False)
    repeats: IntProperty(name="Loops", description="Times the loop plays in the scene", min=1, soft_max=20, default=1)

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if world.is_sky(context.scene.world) else "The World of this scene is not a Skyloop sky"

    def act(self, context: bpy.types.Context) -> None:
        timeline.match(context.scene, fps=self.fps, frame_range=self.frame_range, repeats=self.repeats)


CLASSES = (
    SKYLOOP_OT_apply_world,
    SKYLOOP_OT_restore_world,
    SKYLOOP_OT_front_from_camera,
    SKYLOOP_OT_match_timeline,
)
