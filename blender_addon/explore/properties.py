"""What belongs to trying out."""

import bpy
from bpy.props import FloatProperty, StringProperty

from ...backend.controls import STRENGTH_RANGE, VARIATION_STRENGTH


class SKYLOOP_PG_explore(bpy.types.PropertyGroup):
    """What belongs to trying out, kept with the scene."""

    chosen: StringProperty(name="Candidate", description="The candidate that was chosen, by the name of its folder")
    source: StringProperty(
        name="Starts From", description="The folder of the earlier sky that the next one is made from; empty for none"
    )
    strength: FloatProperty(
        name="Change",
        description="How far the next sky differs from the one it is made from: a little adds detail, half of it gives "
        "another sky of the same kind",
        min=STRENGTH_RANGE[0],
        max=STRENGTH_RANGE[1],
        default=VARIATION_STRENGTH,
        subtype="FACTOR",
    )


CLASSES = (SKYLOOP_PG_explore,)
