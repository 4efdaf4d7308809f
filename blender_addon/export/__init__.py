"""Skies for elsewhere: engines, the web, players, renderers."""

from . import look, operators, properties, work

CLASSES = (*properties.CLASSES, *operators.CLASSES)


def unregister() -> None:
    work.end()
    look.forget()
