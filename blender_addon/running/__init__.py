"""What is under way."""

from . import operators

CLASSES = (*operators.CLASSES,)
