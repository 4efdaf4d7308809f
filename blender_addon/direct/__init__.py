"""Prompts by direction, masks, the photo and the camera: how the scene steers its sky."""

import bpy

from . import gizmos, masks, operators, overlay, paint_operators, painting, properties
from .panel import draw_header

CLASSES = (
    *properties.CLASSES,
    *operators.CLASSES,
    *paint_operators.CLASSES,
    *gizmos.CLASSES,
)
PARTS = (masks, painting, overlay)  # with handlers of their own


def register() -> None:
    for part in PARTS:
        part.register()
    bpy.types.VIEW3D_HT_header.append(draw_header)


def unregister() -> None:
    bpy.types.VIEW3D_HT_header.remove(draw_header)
    for part in reversed(PARTS):
        part.unregister()
