"""Everything Skyloop adds to Blender, in order of dependence; taken away in the opposite order."""

import bpy

from . import operators, panels, preferences, properties, session

CLASSES = (*properties.CLASSES, preferences.SKYLOOP_preferences, *operators.CLASSES, *panels.CLASSES)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    properties.register()
    session.register()


def unregister() -> None:
    session.unregister()
    properties.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
