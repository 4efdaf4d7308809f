"""The World that shows a sky."""

from . import film_operators, light_operators, missing, operators, properties, upgrade, work

CLASSES = (
    *properties.CLASSES,
    *operators.CLASSES,
    *film_operators.CLASSES,
    *light_operators.CLASSES,
)


def register() -> None:
    upgrade.register()
    missing.register()


def unregister() -> None:
    work.end()
    missing.unregister()
    upgrade.unregister()
