"""The World that shows a sky."""

from . import operators, properties

CLASSES = (
    *properties.CLASSES,
    *operators.CLASSES,
)
