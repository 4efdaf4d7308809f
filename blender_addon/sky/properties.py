"""What a World knows of its sky."""

import bpy
from bpy.props import BoolProperty, FloatProperty, PointerProperty, StringProperty


class SKYLOOP_PG_world(bpy.types.PropertyGroup):
    """Where a sky came from, and what it replaced."""

    is_sky: BoolProperty()
    prompt: StringProperty(name="Prompt")
    seed: StringProperty(name="Seed", description="As text, because seeds may be larger than Blender's integers")
    fps: FloatProperty(name="Frame Rate", default=8.0)
    job: StringProperty(name="Job Folder")
    previous: PointerProperty(type=bpy.types.World, name="Previous World")
    previous_fake_user: BoolProperty()


CLASSES = (SKYLOOP_PG_world,)
