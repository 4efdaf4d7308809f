"""Where Blender keeps what is Skyloop's: one property on each kind of owner, made of the features' groups."""

import bpy
from bpy.props import PointerProperty

from .create.properties import SKYLOOP_PG_scene
from .direct.properties import SKYLOOP_PG_object
from .history.properties import SKYLOOP_PG_window_manager
from .sky.properties import SKYLOOP_PG_world


def register() -> None:
    bpy.types.Scene.skyloop = PointerProperty(type=SKYLOOP_PG_scene)
    bpy.types.World.skyloop = PointerProperty(type=SKYLOOP_PG_world)
    bpy.types.Object.skyloop = PointerProperty(type=SKYLOOP_PG_object)
    bpy.types.WindowManager.skyloop = PointerProperty(type=SKYLOOP_PG_window_manager)


def unregister() -> None:
    del bpy.types.WindowManager.skyloop
    del bpy.types.Object.skyloop
    del bpy.types.World.skyloop
    del bpy.types.Scene.skyloop
