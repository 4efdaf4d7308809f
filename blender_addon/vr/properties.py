"""What is set for the headset."""

import bpy


class SKYLOOP_PG_vr(bpy.types.PropertyGroup):
    """What is set for the headset, kept with the scene."""


CLASSES = (SKYLOOP_PG_vr,)
