"""Models: chosen, got, looked after; and files that change them."""

from . import operators, properties, shelf, work
from .lora import OPERATORS as LORA_OPERATORS

CLASSES = (*properties.CLASSES, *operators.CLASSES, *LORA_OPERATORS)


def unregister() -> None:
    work.end()
    shelf.forget()
