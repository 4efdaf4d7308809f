"""What is under way."""

from . import operators, status, viewport, waiting

CLASSES = (
    *operators.CLASSES,
    *waiting.CLASSES,
    *status.CLASSES,
)


def register() -> None:
    viewport.register()
    status.register()


def unregister() -> None:
    status.unregister()
    viewport.unregister()
