"""The World that shows a sky."""

from . import film_operators, light_operators, missing, nodes, operators, properties, work

CLASSES = (
    *properties.CLASSES,
    *operators.CLASSES,
    *film_operators.CLASSES,
    *light_operators.CLASSES,
)


def register() -> None:
    nodes.register()
    missing.register()


def unregister() -> None:
    work.end()
    missing.unregister()
    nodes.unregister()
