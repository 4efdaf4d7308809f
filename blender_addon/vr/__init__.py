"""How the scene is looked at through a headset."""

from . import operators, preview, properties

CLASSES = (
    *properties.CLASSES,
    *operators.CLASSES,
)


def unregister() -> None:
    preview.end()
