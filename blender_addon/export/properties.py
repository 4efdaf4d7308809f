"""What is exported and how: the table of targets as properties, and what all of them share."""

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from ...backend.exports.request import FACINGS
from ...backend.exports.targets import TARGETS, Option, sentence
from ...backend.protocol import MAX_HEIGHT_PX
from ..core.exporting import option_key

SHOWN, HISTORY, FILE = "SHOWN", "HISTORY", "FILE"

# Blender keeps pointers into these strings, so they must live as long as the class.
SOURCE_ITEMS = (
    (SHOWN, "The Sky Shown", "The film that the World of this scene shows"),
    (HISTORY, "From the History", "The sky that is selected in the list of earlier ones"),
    (FILE, "A Film", "Any film of a whole turn, also one that was not made here"),
)
TARGET_ITEMS = tuple((target.name, target.title, sentence(target.help)) for target in TARGETS.values())
_ABOUT_FACINGS = {
    "forward": "The middle of the sky is where the engine looks by itself",
    "blender": "The sky stands as it does in this scene, to fit geometry that is exported from it",
}
FACING_ITEMS = tuple((name, title, _ABOUT_FACINGS[name]) for name, title in FACINGS.items())


class SKYLOOP_PG_export(bpy.types.PropertyGroup):
    """The next export of this scene. Each option of each target is a property too, added below."""

    source: EnumProperty(name="Source", description="Which sky is exported", items=SOURCE_ITEMS)
    film: StringProperty(name="Film", description="An equirectangular film, twice as wide as high", subtype="FILE_PATH")
    target: EnumProperty(name="For", description="Where the sky is going to be used", items=TARGET_ITEMS)
    height: IntProperty(
        name="Height",
        description="Of the exported sky, a multiple of 16; 0 is the film's own, or the most that plays well there",
        min=0,
        max=MAX_HEIGHT_PX,
        subtype="PIXEL",
    )
    facing: EnumProperty(name="Facing", description="Which way round the sky is there", items=FACING_ITEMS)
    prerotate: BoolProperty(
        name="Turn the Pixels",
        description="For an engine's own panorama material, which then needs no rotation",
    )
    with_scene: BoolProperty(
        name="With the Scene",
        description="Write what is visible in this scene as glTF too, with cameras, lights and animation, under the "
        "same sky. Modifiers are applied. Blender stands still meanwhile",
    )
    folder: StringProperty(
        name="Folder",
        description="A new or empty folder, which becomes the export. Empty is a new one beside the .blend, or beside "
        "the sky",
        subtype="DIR_PATH",
    )
    replace: BoolProperty(
        name="Replace",
        description="Replace the earlier export in this folder; files that are not its own stay",
    )


def _property(option: Option) -> Any:
    """The property of an option of a target."""
    about, default = sentence(option.help), option.default
    named: dict[str, Any] = {"name": option.title, "description": about, "default": default}
    if option.choices:
        return EnumProperty(**named, items=tuple((name, label, about) for name, label in option.choices.items()))
    if isinstance(default, bool):
        return BoolProperty(**named)
    if option.limits:
        named |= {"min": type(default)(option.limits[0]), "max": type(default)(option.limits[1])}
    makes = {int: IntProperty, float: FloatProperty, str: StringProperty}
    return makes[type(default)](**named)


SKYLOOP_PG_export.__annotations__.update(
    {option_key(target, option): _property(option) for target in TARGETS.values() for option in target.options}
)

CLASSES = (SKYLOOP_PG_export,)
