"""The request for a sky."""

from . import operators, properties

CLASSES = (
    *properties.CLASSES,
    *operators.CLASSES,
)
