"""How the scene is looked at through a headset."""

from . import properties

CLASSES = (*properties.CLASSES,)
