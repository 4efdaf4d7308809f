"""Making the private runtime that generates."""

from . import operators

CLASSES = (*operators.CLASSES,)
