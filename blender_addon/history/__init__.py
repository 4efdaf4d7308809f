"""What was made before."""

from . import operators, properties

CLASSES = (
    *properties.CLASSES,
    *operators.CLASSES,
)
