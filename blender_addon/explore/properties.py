"""What belongs to trying out."""

import bpy


class SKYLOOP_PG_explore(bpy.types.PropertyGroup):
    """What belongs to trying out, kept with the scene."""


CLASSES = (SKYLOOP_PG_explore,)
