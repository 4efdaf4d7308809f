"""The request for a sky."""

from . import catalogue, operators, presets, properties, seeds

CLASSES = (
    *properties.CLASSES,
    *operators.CLASSES,
    *seeds.CLASSES,
    *presets.OPERATORS,
)


def register() -> None:
    catalogue.look()
