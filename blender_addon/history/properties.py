"""What lists show."""

import bpy
from bpy.props import CollectionProperty, IntProperty


class SKYLOOP_PG_history_item(bpy.types.PropertyGroup):
    """One finished sky on the disk: only its name."""


class SKYLOOP_PG_window_manager(bpy.types.PropertyGroup):
    """What lists show. Blender saves it with the file all the same, so it holds nothing but names: no folder that an
    operator would trust. The jobs themselves are in the session, in the same order."""

    history: CollectionProperty(type=SKYLOOP_PG_history_item)
    history_index: IntProperty(name="Sky")


CLASSES = (SKYLOOP_PG_history_item, SKYLOOP_PG_window_manager)
