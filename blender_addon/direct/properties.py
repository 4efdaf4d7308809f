"""What steers the next sky by direction."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ...backend.controls import MAX_PROMPT_CHARS, PHOTO_FOV_RANGE_DEG, RADIUS_RANGE_DEG
from . import photo, regions


class SKYLOOP_PG_object(bpy.types.PropertyGroup):
    """A region of the sky, of the empty that marks it."""

    is_region: BoolProperty(name="Is a Region", description="Whether this object marks a part of the sky")
    enabled: BoolProperty(name="Enabled", description="Use this region in the next sky", default=True)
    prompt: StringProperty(
        name="Prompt", description="What is in this part of the sky, in a few words", maxlen=MAX_PROMPT_CHARS
    )
    radius_deg: FloatProperty(
        name="Radius °",
        description="How far the region reaches from its middle; its edge is soft. 90 is half of the sky",
        min=RADIUS_RANGE_DEG[0],
        max=RADIUS_RANGE_DEG[1],
        default=30.0,
        precision=1,
        step=100,
    )
    around: BoolProperty(
        name="All Around", description="A band around the whole sky at this height, instead of a circle"
    )
    order: IntProperty(name="Order", description="Its place among the regions: later ones lie over earlier ones")


class SKYLOOP_PG_direct(bpy.types.PropertyGroup):
    """What steers the next sky by direction, kept with the scene."""

    show_overlay: BoolProperty(
        name="Show Regions",
        description="Draw the regions on the sky in the viewport; never in renders",
        default=True,
    )
    centre: PointerProperty(
        name="Seen From",
        description="Where the regions are seen from, such as the camera. Empty: the middle of the scene (0, 0, 0)",
        type=bpy.types.Object,
    )
    region_index: IntProperty(
        name="Region",
        description="The region that is selected",
        get=regions.active_index,
        set=regions.set_active_index,
        options={"SKIP_SAVE"},
    )

    motion: FloatProperty(
        name="Motion",
        description="How strongly the sky moves: 0 is still, 1 as the model moves, 2 the strongest",
        min=0.0,
        max=2.0,
        default=1.0,
        precision=2,
        step=10,
    )
    motion_mask: PointerProperty(name="Motion Mask", description="Painted: where the sky moves", type=bpy.types.Image)
    motion_painted: EnumProperty(
        name="Painted Part",
        description="What paint means in the motion mask",
        items=(
            ("MOVES", "Moves", "Only what is painted moves, the rest is still"),
            ("STILL", "Is Still", "What is painted is still, the rest moves"),
        ),
        default="MOVES",
    )
    edit_mask: PointerProperty(
        name="Mask", description="Painted: the part of the present sky that is made anew", type=bpy.types.Image
    )
    edit_prompt: StringProperty(
        name="New Prompt",
        description="What shall be in the painted part, in a few words",
        maxlen=MAX_PROMPT_CHARS,
    )
    reroll_radius_deg: FloatProperty(
        name="Radius °",
        description="How much of the sky around where you look is made anew",
        min=RADIUS_RANGE_DEG[0],
        max=RADIUS_RANGE_DEG[1],
        default=25.0,
        precision=0,
        step=100,
    )
    painting: StringProperty(options={"HIDDEN"}, description="Which mask is being painted; empty for none")

    photo: StringProperty(
        name="Picture",
        description="A picture that the sky starts from: a panorama of the whole sky, or a photo of a part of it",
        subtype="FILE_PATH",
        update=photo.look,
    )
    photo_kind: EnumProperty(
        name="It Shows",
        description="What the picture is of",
        items=(
            ("PHOTO", "A Part", "An ordinary photo, placed in a direction; the world around it is made"),
            ("SKY", "All of the Sky", "A still panorama, twice as wide as high, that starts to move"),
        ),
        default="PHOTO",
    )
    photo_yaw_deg: FloatProperty(
        name="Yaw °",
        description="Where the middle of the photo is: 0 is ahead (+Y), 90 to the right (+X)",
        soft_min=-180.0,
        soft_max=180.0,
        min=-360.0,
        max=360.0,
        precision=1,
        step=500,
    )
    photo_pitch_deg: FloatProperty(
        name="Pitch °", description="How high the middle of the photo is", min=-90.0, max=90.0, precision=1, step=500
    )
    photo_fov_deg: FloatProperty(
        name="Field of View °",
        description="How much of the sky the photo shows from its left to its right edge",
        min=PHOTO_FOV_RANGE_DEG[0],
        max=PHOTO_FOV_RANGE_DEG[1],
        default=60.0,
        precision=1,
        step=100,
    )
    photo_aspect: FloatProperty(
        options={"HIDDEN"}, default=1.5, min=0.01, description="The picture's width over its height"
    )
    photo_problem: StringProperty(options={"HIDDEN"}, description="Why the picture cannot be used, as last looked")

    only_camera: BoolProperty(
        name="Only What the Camera Sees",
        description="Make detail only where the active camera looks between the scene's first and last frame. "
        "Elsewhere the sky stays soft, good for light and reflections. Saves time",
    )
    camera_share: FloatProperty(options={"HIDDEN"}, description="The part of the sky that the camera sees, 0 to 1")
    camera_measured: StringProperty(options={"HIDDEN"}, description="For which shot the share was measured")


CLASSES = (SKYLOOP_PG_object, SKYLOOP_PG_direct)
