"""What is set for the headset."""

import bpy
from bpy.props import EnumProperty, FloatProperty

BASES = (
    ("CENTRE", "Scene Centre", "Stand in the middle of the scene and look at the front of the sky"),
    ("CAMERA", "Active Camera", "Be where the active camera is and look where it looks"),
)


def _move(self: "SKYLOOP_PG_vr", context: bpy.types.Context) -> None:
    from . import preview

    preview.place(self.id_data)


class SKYLOOP_PG_vr(bpy.types.PropertyGroup):
    """What is set for the headset, kept with the scene."""

    base: EnumProperty(
        name="Stand At",
        description="Where the wearer of the headset begins",
        items=BASES,
        default="CENTRE",
        update=_move,
    )
    eye_height_m: FloatProperty(
        name="Eye Height (m)",
        description="How high the eyes are above the scene's centre: 1.65 standing, 1.2 seated",
        min=0.0,
        soft_max=3.0,
        max=1000.0,
        default=1.65,
        precision=2,
        step=5,
        update=_move,
    )
    heading_deg: FloatProperty(
        name="Heading °",
        description="How far to the right of that the wearer looks at first, for a chair that stands otherwise",
        soft_min=-180.0,
        soft_max=180.0,
        default=0.0,
        precision=0,
        step=500,
        update=_move,
    )


CLASSES = (SKYLOOP_PG_vr,)
