"""Prompts by direction, masks, the photo and the camera: how the scene steers its sky."""

from . import properties

CLASSES = (*properties.CLASSES,)
