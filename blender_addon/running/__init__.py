"""What is under way."""

from . import operators, waiting

CLASSES = (*operators.CLASSES, *waiting.CLASSES)
