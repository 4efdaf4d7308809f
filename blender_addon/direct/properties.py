"""What steers the next sky by direction."""

import bpy


class SKYLOOP_PG_direct(bpy.types.PropertyGroup):
    """What steers the next sky by direction, kept with the scene."""


CLASSES = (SKYLOOP_PG_direct,)
