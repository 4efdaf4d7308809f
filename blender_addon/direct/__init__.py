"""Prompts by direction, masks, the photo and the camera: how the scene steers its sky."""

from . import operators, properties

CLASSES = (
    *properties.CLASSES,
    *operators.CLASSES,
)
