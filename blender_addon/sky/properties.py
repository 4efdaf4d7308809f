"""What a World knows of its sky."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ..languages import OWN
from . import timeline

# Blender keeps pointers into these strings, so they must live as long as the class.
SPEED_ITEMS = (
    ("0.25", "Quarter", "Each frame of the film is held for four frames of the scene"),
    ("0.5", "Half", "Each frame of the film is held for two frames of the scene"),
    ("1", "Normal", "One frame of the film is one frame of the scene"),
    ("2", "Double", "Every second frame of the film is shown"),
    ("4", "Fourfold", "Every fourth frame of the film is shown"),
)


def _play(self: "SKYLOOP_PG_world", context: bpy.types.Context) -> None:
    timeline.set_up(self.id_data, self.frames)


class SKYLOOP_PG_world(bpy.types.PropertyGroup):
    """Where a sky came from, how it plays, and what it replaced."""

    is_sky: BoolProperty(name="Sky", description="Skyloop made this World")
    prompt: StringProperty(name="Prompt", description="The prompt that this sky was made from")
    seed: StringProperty(name="Seed", description="As text, because seeds may be larger than Blender's integers")
    job: StringProperty(name="Job Folder", description="Where the files of this sky are")
    fps: FloatProperty(name="Frame Rate", description="Frames per second that this sky was made for", default=8.0)
    frames: IntProperty(name="Frames", description="Frames of one loop of the film", min=1, default=1)
    frame_offset: IntProperty(
        name="Frame Offset",
        description="Film frames by which the loop is ahead; it wraps around",
        update=_play,
        translation_context=OWN,
    )
    speed: EnumProperty(
        name="Speed",
        description="How fast the film plays; the loop stays closed",
        items=SPEED_ITEMS,
        default="1",
        update=_play,
        translation_context=OWN,  # Normal is not a surface's here
    )
    reverse: BoolProperty(
        name="Backwards",
        description="Play the film from its end to its beginning",
        update=_play,
        translation_context=OWN,
    )
    missing: BoolProperty(name="Missing", description="The film was not there when it was last looked for")
    sun: PointerProperty(type=bpy.types.Object, name="Sun Lamp", description="The lamp that stands for this sky's sun")
    sun_made_for: StringProperty(name="Lamp Made For", description="The choices that the lamp was made with")
    brightness: FloatProperty(
        name="Brightness",
        description="Light on level ground, as a share of what a sky that is white all around gives; 0 is not measured",
    )
    replaced: BoolProperty(name="Replaced", description="There was a World before this sky")
    previous: PointerProperty(type=bpy.types.World, name="Previous World", description="The World before any sky")
    previous_fake_user: BoolProperty(name="Was Protected", description="Whether that World had a fake user")


CLASSES = (SKYLOOP_PG_world,)
