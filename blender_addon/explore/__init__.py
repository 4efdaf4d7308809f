"""Candidates to choose from before a sky is made in full."""

from . import properties

CLASSES = (*properties.CLASSES,)
